"""One step of AE-OT-GAN: which image belongs to which code, what each player minimises, and whom a gradient reaches."""

import copy
from contextlib import nullcontext

import pytest
import torch

from genrev_cli.errors import UsageError
from genrev_cli.latents import ActiveGaussian
from genrev_cli.methods.aeotgan import AEOTGAN, AEOTGANConfig
from genrev_cli.methods.gan_losses import LOSSES
from genrev_cli.models import build_model

INFOGAN = {"name": "infogan", "image_shape": [1, 8, 8], "latent_dim": 3, "width": 4}
REVNET = {"name": "revnet", "image_shape": [1, 8, 8], "scales": [{"blocks": 1, "hidden": 4}]}


def images(n=16, seed=1):
    return torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


def make(model=INFOGAN, paired=True, **settings):
    torch.manual_seed(0)
    autoencoder = build_model(model)
    prior = ActiveGaussian(3, autoencoder.latent_dim, bound=0.0, choose="first")
    settings = {"weight_content": 1.0, "weight_feature": 1.0, **settings} if paired else settings
    encoder = copy.deepcopy(autoencoder) if paired else None
    return AEOTGAN(autoencoder.train(), prior, AEOTGANConfig(**settings), nullcontext, encoder)


def stepped(method, x, seed=2):
    return method.step(x, torch.zeros(len(x), dtype=torch.int64), torch.Generator().manual_seed(seed))


def values(module):
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def changed(module, before):
    return {name for name, tensor in module.state_dict().items() if not torch.equal(tensor, before[name])}


def watched(monkeypatch, method):
    """What the generator and the discriminator are given."""
    seen = {"codes": [], "images": []}
    decode, D = method.autoencoder.decode, method.D.forward
    monkeypatch.setattr(method.autoencoder, "decode", lambda z: (seen["codes"].append(z.detach()), decode(z))[1])
    monkeypatch.setattr(method.D, "forward", lambda x: (seen["images"].append(x.detach()), D(x))[1])
    return seen


def test_a_quarter_of_the_codes_are_those_of_the_first_images(monkeypatch):
    method, x = make(), images()
    seen = watched(monkeypatch, method)
    stepped(method, x)
    with torch.no_grad():
        y = method.encoder.encode(x[:4])
    for codes in seen["codes"]:  # the update of D, then that of G
        assert len(codes) == 16
        torch.testing.assert_close(codes[:4], y)
    assert not torch.equal(seen["codes"][0][4:], seen["codes"][1][4:])
    torch.testing.assert_close(seen["images"][0], x)  # all of them are the real ones


def test_generated_codes_are_the_priors(monkeypatch):
    method = make(generator_updates=2)
    seen = watched(monkeypatch, method)
    stepped(method, images(), seed=5)
    first, second, last = method.prior.sample(36, torch.Generator().manual_seed(5)).chunk(3)
    for codes, expected in zip(seen["codes"], (last, first, second), strict=True):  # D, then G twice
        torch.testing.assert_close(codes[4:], expected)


def test_values_by_hand():
    method, x = make(weight_adversarial=2.0, weight_content=3.0, weight_feature=0.5), images()
    spelled = copy.deepcopy(method)
    scalars = stepped(method, x)
    for_G, for_D = spelled.prior.sample(24, torch.Generator().manual_seed(2)).chunk(2)
    with torch.no_grad():
        y = spelled.encoder.encode(x[:4])
        fake = spelled.autoencoder.decode(torch.cat([y, for_D]))
        real, judged = spelled.D(x), spelled.D(fake)
        L_D = torch.nn.functional.softplus(-real).mean() + torch.nn.functional.softplus(judged).mean()
        assert scalars["L_D"].item() == pytest.approx(L_D.item(), rel=1e-5)
        assert scalars["D_real"].item() == pytest.approx(real.sigmoid().mean().item(), rel=1e-5)
        again = spelled.autoencoder.decode(torch.cat([y, for_G]))
        assert scalars["L_content"].item() == pytest.approx((again[:4] - x[:4]).square().mean().item(), rel=1e-4)
        assert scalars["L_feature"].item() == pytest.approx((spelled.encoder.encode(again[:4]) - y).square().mean().item(), rel=1e-4)


def test_each_player_trains_its_own():
    method, x = make(), images()
    before = {name: values(module) for name, module in method.modules.items()}
    frozen = values(method.encoder)
    method._update_D(x, torch.randn(16, 3), torch.Generator().manual_seed(0))
    statistics = {name for name in before["autoencoder"] if "running" in name or "batches" in name}
    assert changed(method.autoencoder, before["autoencoder"]) <= statistics
    assert changed(method.D, before["D"])
    D = {name: parameter.detach().clone() for name, parameter in method.D.named_parameters()}
    method._update_G(x[:4], method._encoded(x[:4]), torch.cat([method._encoded(x[:4]), torch.randn(12, 3)]))
    assert all(torch.equal(parameter, D[name]) for name, parameter in method.D.named_parameters())
    moved = changed(method.autoencoder, before["autoencoder"])
    assert {name.split(".")[0] for name in moved} == {"generator"}
    assert not changed(method.encoder, frozen)


def test_all_of_an_invertible_network_is_the_generator():
    method = make(REVNET)
    before = values(method.autoencoder)
    stepped(method, images())
    assert changed(method.autoencoder, before) == set(before)
    assert not changed(method.encoder, before)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("model", [INFOGAN, REVNET], ids=lambda model: model["name"])
def test_every_loss_trains(loss, model):
    method = make(model, loss=loss)
    before = values(method.D)
    scalars = stepped(method, images())
    assert all(value.isfinite() for value in scalars.values())
    assert changed(method.D, before)


def test_from_noise_there_are_no_pairs(monkeypatch):
    method = make({**INFOGAN, "encoder": False}, paired=False)
    seen = watched(monkeypatch, method)
    scalars = stepped(method, images())
    assert {len(codes) for codes in seen["codes"]} == {16}
    assert not {"L_content", "L_feature"} & scalars.keys()


def test_without_an_adversary_it_is_an_autoencoder():
    method = make(weight_adversarial=0.0, lr=1e-2)
    before = values(method.D)
    first, *_, last = [stepped(method, images())["L_content"] for _ in range(30)]
    assert last < first
    assert not changed(method.D, before)


def test_a_pure_function_of_its_arguments():
    one, two = make(), make()
    torch.manual_seed(5)
    a = stepped(one, images())
    torch.manual_seed(6)
    b = stepped(two, images())
    assert all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"loss": "lsgan"}, "there is vanilla, hinge-sn"),
        ({"weight_content": -1.0}, "negative"),
        ({"generator_updates": 0}, "at least 1 is needed"),
        ({"weight_adversarial": 0.0, "weight_content": 0.0, "weight_feature": 0.0}, "nothing to train"),
    ],
)
def test_impossible_settings(settings, said):
    with pytest.raises(UsageError, match=said):
        AEOTGANConfig(**settings)


def test_a_batch_that_cannot_be_shared_out():
    with pytest.raises(UsageError, match="multiple of 4"):
        AEOTGANConfig().pairs(18)
    with pytest.raises(UsageError, match="no image has a code"):
        AEOTGAN(build_model(INFOGAN), ActiveGaussian(3, 3), AEOTGANConfig(weight_content=1.0), nullcontext)
