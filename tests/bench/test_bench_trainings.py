"""bench task invertible and autoencoders: both sides start from the same weights and minimise the same losses. Times are not tested."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from genrev_cli.bench.tasks import autoencoders, invertible, ours_training, theirs_invertible, theirs_pythae, trainings
from genrev_cli.bench.training_step import Network
from genrev_cli.files.images import open_images
from genrev_cli.methods.matching import mmd_distance
from genrev_cli.methods.perceptual_losses import kl_loss, signed_image_loss
from genrev_cli.methods.variational import confusion_loss, discrimination_loss, gaussian_nll
from genrev_cli.shapes import to_float

RECIPES = {case.recipe: "pretrain-recon" for case in invertible.CASES} | {
    recipe: "train-vae" for recipe, _, _ in autoencoders.VARIANTS.values()
}


def trained(folder, digits, recipe, batch, steps=1, **settings):
    """Train by genrev and return network and prior."""
    out = folder / "ours.safetensors"
    given = {"steps": steps, "batch": batch, "ema_halflife_images": 0, **settings}
    ours_training.main(command=RECIPES[recipe], data=str(digits.prepared), out=str(out), recipe=recipe, settings=given, device="cpu")
    return trainings.read_checkpoint(out)


def distance(model, other):
    """‖θ − θ'‖ over all parameters."""
    return torch.stack([(a - b).square().sum() for a, b in zip(model.parameters(), other.parameters(), strict=True)]).sum().sqrt().item()


def test_both_sides_get_the_same_digits(tmp_path):
    digits = trainings.write_digits(tmp_path, 6, test=12, margin=2)
    given, images = trainings.read_images(str(digits.array), "cpu").numpy(), open_images(digits.prepared)
    assert given.shape == (6, 1, 32, 32)
    assert digits.count == 6
    assert np.array_equal(images.read(images.rows("train")), given)
    assert np.array_equal(images.read(images.rows("test")), digits.test[: trainings.WATCHED])
    assert len(digits.test) == 12
    assert given[:, :, 2:-2, 2:-2].any()
    assert not given[:, :, :2].any()


@pytest.mark.parametrize("recipe", RECIPES)
def test_fresh_weights_are_those_of_step_0(tmp_path, recipe):
    digits = trainings.write_digits(tmp_path, 2, test=2, margin=2 if recipe == "grn-mnist" else 0)
    found, prior = trained(tmp_path, digits, recipe, 2, lr=1e-12)
    expected, own = trainings.fresh(recipe, digits.test.shape[1:])
    assert distance(found, expected) < 1e-6
    assert prior.config == own.config


def reference(model):
    """Return a stand-in for the other library: genrev's own network."""
    return Network(model.encode, model.decode)


@pytest.mark.parametrize("case", invertible.CASES, ids=lambda case: case.peer)
@pytest.mark.parametrize("own", [True, False], ids=["stand-in", "library"])
def test_a_step_of_the_other_side_changes_the_weights_in_the_same_way(tmp_path, monkeypatch, capsys, case, own):
    if own:
        monkeypatch.setitem(theirs_invertible.PEERS, case.peer, reference)
    else:
        pytest.importorskip(case.peer, reason="needs a tool of the extra 'bench'")
    digits, out = trainings.write_digits(tmp_path, 4, test=2, margin=case.margin), tmp_path / "theirs.safetensors"
    theirs_invertible.main(
        peer=case.peer, recipe=case.recipe, array=str(digits.array), batch=4, precision="fp32", device="cpu", out=str(out)
    )
    assert json.loads(capsys.readouterr()[0])["cpu_of_training"] > 0
    theirs, prior = trainings.read_weights(out, case.recipe, digits.test.shape[1:])
    ours, own_prior = trained(tmp_path, digits, case.recipe, 4)
    moved = distance(ours, trainings.fresh(case.recipe, digits.test.shape[1:])[0])
    assert moved > 0
    assert distance(theirs, ours) < 0.02 * moved  # where a gradient is almost 0, rounding decides the sign of Adam's first step
    assert torch.equal(prior.active, own_prior.active)


def test_the_networks_of_the_libraries_reach_the_same_error(here):
    for table, case in zip(here(invertible, invertible.invertible), invertible.CASES, strict=True):
        assert len(table.rows) >= len(invertible.OURS) - 1
        errors, losses = ([row[name] for row in table.rows] for name in ("error", "loss"))
        assert max(errors) < 1.1 * min(errors), case.peer
        assert max(losses) < 1.1 * min(losses), case.peer
        assert all(row["cpu_of_training"] > 0 for row in table.rows)


def test_both_autoencoders_reach_the_same_error(here):
    tables = here(autoencoders, autoencoders.autoencoders)
    assert len(tables) == len(autoencoders.VARIANTS)
    for table in tables:
        errors = [row["rmse"] for row in table.rows]
        assert max(errors) < 1.2 * min(errors)
        assert all(row["fd_pixel"] > 0 and row["cpu_of_training"] > 0 for row in table.rows)


def test_the_judges_measure_what_their_columns_say():
    model, prior = trainings.fresh("inn-mnist", (1, 28, 28))
    test = np.random.default_rng(0).integers(0, 256, (6, 1, 28, 28), dtype=np.uint8)
    x = to_float(torch.from_numpy(test))
    with torch.no_grad():
        z = model.encode(x)
        x_hat = model.decode(prior.restrict(z))
    found = trainings.loss_judge("inn-mnist", test)(model, prior)
    assert found["error"] == pytest.approx((x - x_hat).abs().mean().item(), rel=1e-5)
    assert found["loss"] == pytest.approx(found["error"] + (z - prior.restrict(z)).square().mean().item(), rel=1e-5)
    pixels = trainings.sample_judge(test)(model, prior)
    assert pixels["rmse"] == pytest.approx((x - x_hat).square().mean().sqrt().item(), rel=1e-5)
    assert pixels["fd_pixel"] > 0


def test_the_error_is_that_of_a_picture(monkeypatch):
    test = np.full((1, 1, 28, 28), 255, np.uint8)
    z = torch.zeros(1, 784)
    monkeypatch.setattr(trainings, "restored", lambda model, prior, x: (z, z, torch.full_like(x, 1.5)))
    found = trainings.loss_judge("inn-mnist", test)(None, None)
    assert (found["error"], found["loss"]) == (0, 0.5)


def test_the_distance_of_equal_pixels_is_zero():
    pixels = torch.randint(0, 256, (9, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert trainings.frechet_distance(*[trainings.pixel_statistics(pixels)] * 2) == pytest.approx(0, abs=1e-9)


@pytest.fixture
def pythae():
    return pytest.importorskip("pythae", reason="needs a tool of the extra 'bench'")


@pytest.mark.parametrize("variant", autoencoders.VARIANTS)
def test_losses_of_pythae_are_multiples_of_ours(pythae, variant):
    recipe, _, settings = autoencoders.VARIANTS[variant]
    c = {**trainings.read_recipe(recipe)["train-vae"], **settings}
    network, _ = trainings.fresh(recipe, (1, 28, 28))
    model = theirs_pythae.build(variant, network, c)
    generator = torch.Generator().manual_seed(0)
    x, x_hat = torch.rand(2, 5, 1, 28, 28, generator=generator)
    d = network.latent_dim
    mean, log_variance, z_prior = torch.randn(3, 5, d, generator=generator)
    size = x[0].numel()
    if variant == "vae":
        theirs = model.loss_function(x_hat, x, mean, log_variance, mean)[0]
        L_x, L_kl = signed_image_loss(x, x_hat), kl_loss(mean, log_variance)
        variance = torch.tensor(c["decoder_std"] ** 2)
        ours = gaussian_nll(L_x, variance) - variance.log() / 2 + L_kl * d / size  # without the constant
        torch.testing.assert_close(theirs, size * ours)
        return
    squared = c["weight_x"] * size * signed_image_loss(x, x_hat)
    if variant == "wae-mmd":
        theirs = model.loss_function(x_hat, x, mean, z_prior)[0]
        torch.testing.assert_close(theirs, squared + c["weight_penalty"] * mmd_distance(mean, z_prior, generator))
        return
    D = model.discriminator.D
    _, theirs, theirs_D = model.loss_function(x_hat, x, mean, z_prior)
    torch.testing.assert_close(c["weight_penalty"] * theirs, squared + c["weight_penalty"] * confusion_loss(D(mean)))
    torch.testing.assert_close(theirs_D, discrimination_loss(D(z_prior), D(mean)))


@pytest.mark.parametrize("variant", autoencoders.VARIANTS)
def test_pythae_trains_every_layer_of_our_network_once(pythae, variant):
    network, _ = trainings.fresh(autoencoders.VARIANTS[variant][0], (1, 28, 28))
    encoder, decoder = theirs_pythae.parts(network)
    assert isinstance(encoder, nn.Module)
    coded = [id(parameter) for part in (encoder, decoder) for parameter in part.parameters()]
    assert sorted(coded) == sorted(map(id, network.parameters()))
    x = torch.rand(3, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    network.eval()
    z = encoder(x).embedding
    torch.testing.assert_close(z, network.encode(x))
    torch.testing.assert_close(decoder(z)["reconstruction"], network.decode(z))
