"""One step of AE-OT-GAN: the pairs of images and codes, the losses, and which parameters get a gradient."""

import copy
from contextlib import nullcontext

import pytest
import torch

from genrev_cli.errors import UsageError
from genrev_cli.latents import ActiveGaussian
from genrev_cli.methods.aeotgan import AEOTGAN
from genrev_cli.methods.gan_losses import LOSSES
from genrev_cli.methods.reconstruction import Reconstruction, code_loss
from genrev_cli.models import MODELS, build_model
from genrev_cli.models.gan import FAMILIES, build_discriminator, span_of
from genrev_cli.settings.aeotgan import AEOTGANConfig
from genrev_cli.settings.reconstruction import ReconstructionConfig

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
    return AEOTGAN(autoencoder.train(), prior, AEOTGANConfig(**settings), nullcontext, encoder=encoder)


def stepped(method, x, seed=2):
    return method.step(x, torch.zeros(len(x), dtype=torch.int64), torch.Generator().manual_seed(seed))


def values(module):
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def changed(module, before):
    return {name for name, tensor in module.state_dict().items() if not torch.equal(tensor, before[name])}


def watched(monkeypatch, method):
    """Record the inputs of the generator and of the discriminator."""
    seen = {"codes": [], "images": []}
    decode, D = method.autoencoder.decode, method.D.forward
    monkeypatch.setattr(method.autoencoder, "decode", lambda z: (seen["codes"].append(z.detach()), decode(z))[1])
    monkeypatch.setattr(method.D, "forward", lambda x: (seen["images"].append(x.detach()), D(x))[1])
    return seen


def test_a_quarter_of_the_codes_come_from_the_first_images(monkeypatch):
    method, x = make(), images()
    seen = watched(monkeypatch, method)
    stepped(method, x)
    with torch.no_grad():
        y = method.encoder.encode(x[:4])
    for codes in seen["codes"]:  # first the update of D, then of G
        assert len(codes) == 16
        torch.testing.assert_close(codes[:4], y)
    assert not torch.equal(seen["codes"][0][4:], seen["codes"][1][4:])
    torch.testing.assert_close(seen["images"][0], x)  # all images of the batch are the real ones


def test_generated_codes_come_from_the_prior(monkeypatch):
    method = make(generator_updates=2)
    seen = watched(monkeypatch, method)
    stepped(method, images(), seed=5)
    first, second, last = method.prior.sample(36, torch.Generator().manual_seed(5)).chunk(3)
    for codes, expected in zip(seen["codes"], (last, first, second), strict=True):  # D, then G twice
        torch.testing.assert_close(codes[4:], expected)


def test_each_rank_draws_its_rows_of_each_update(monkeypatch):
    """Row r of an update's global batch is of rank r % size, as `shard` deals it, and a rank asks for no others."""
    method = make(generator_updates=2)
    whole = method.prior.sample(36, torch.Generator().manual_seed(5)).chunk(3)
    monkeypatch.setattr("genrev_cli.methods.aeotgan.size", lambda: 4)
    for rank in range(4):
        monkeypatch.setattr("genrev_cli.methods.aeotgan.rank", lambda rank=rank: rank)
        for codes, update in zip(method._generated(3, torch.Generator().manual_seed(5)), whole, strict=True):
            assert torch.equal(codes, update[rank::4])


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


def encoder_layers_of(model, x):
    """The outputs of the layers of InfoGAN's encoder: 4×4 convolution · 4×4 convolution · dense, each with its norm and ReLU · dense."""
    first, second, flat, third, last = model.encoder.layers
    found = [first(x)]
    found.append(second(found[0]))
    found.append(third(flat(found[1])))
    return [*found, last(found[2])]


def test_feature_loss_over_layers():
    """Σ_l α_l mean (E_l(x) − E_l(G(y)))² over the frozen encoder's four layers, in float64, with its gradient for G alone."""
    alphas = (0.5, 0.0, 2.0, 3.0)
    method, x = make(weight_adversarial=0.0, weight_content=0.0, weight_feature=alphas), images().double()
    for module in method.modules.values():
        module.double()
    method.encoder.double()
    spelled = copy.deepcopy(method)
    y = method._encoded(x[:4]).detach()
    scalars = method._update_G(x[:4], y, torch.cat([y, torch.randn(12, 3, generator=torch.Generator().manual_seed(3)).double()]))
    y_all = torch.cat([y, torch.randn(12, 3, generator=torch.Generator().manual_seed(3)).double()])
    x_hat = spelled.autoencoder.decode(y_all)[:4]
    pairs = zip(encoder_layers_of(spelled.encoder, x[:4]), encoder_layers_of(spelled.encoder, x_hat), strict=True)
    losses = [(real - found).square().mean() for real, found in pairs]
    names = ("L_feature_1", "L_feature_2", "L_feature_3", "L_feature")
    assert scalars.keys() == {*names, "grad_norm"} - {"L_feature_2"}
    for name, alpha, loss in zip(names, alphas, losses, strict=True):
        if alpha:
            assert scalars[name].item() == pytest.approx(loss.item(), rel=1e-12)
    total = sum(alpha * loss for alpha, loss in zip(alphas, losses, strict=True))
    gradients = torch.autograd.grad(total, list(spelled.autoencoder.generator.parameters()))
    assert scalars["grad_norm"].item() == pytest.approx(torch.cat([g.flatten() for g in gradients]).norm().item(), rel=1e-9)
    assert all(parameter.grad is None for parameter in method.encoder.parameters())


def test_one_weight_is_that_of_the_codes():
    """It makes the same step as a list whose other weights are 0."""
    one, several = (make(weight_feature=weights) for weights in (0.5, (0.0, 0.0, 0.0, 0.5)))
    a, b = stepped(one, images()), stepped(several, images())
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("name", MODELS)
def test_layers_of_an_encoder_are_listed_with_the_codes_last(name):
    model = build_model(SMALL[name]).eval()
    *layers, z = model.encode_by_layer(images())
    assert torch.equal(z, model.encode(images()))
    assert len(layers) == len(model.encoder_layers())
    assert bool(layers) == (name in FAMILIES)
    assert all(len(layer) == 16 for layer in layers)
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize(
    ("model", "weights", "said"),
    [
        (INFOGAN, (1.0, 2.0), "has 2 weights, and the encoder of 'infogan' has 4 layers, with the codes; give one weight for each, or one"),
        (REVNET, (1.0, 2.0), "the encoder of 'revnet' has 1 layer, the codes;"),
    ],
)
def test_a_list_of_another_length_is_refused(model, weights, said):
    with pytest.raises(UsageError, match=said):
        make(model, weight_feature=weights)


def test_each_loss_trains_its_own_network():
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


def test_the_whole_invertible_network_is_the_generator():
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


def test_without_an_adversary_only_the_decoder_is_trained():
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
        ({"loss": "lsgan"}, "--loss lsgan: choose vanilla, hinge-sn"),
        ({"weight_content": -1.0}, "--weight-content -1: must be at least 0"),
        ({"generator_updates": 0}, "--generator-updates 0: must be at least 1"),
        ({"weight_adversarial": 0.0, "weight_content": 0.0, "weight_feature": 0.0}, "nothing to train"),
    ],
)
def test_impossible_settings(settings, said):
    with pytest.raises(UsageError, match=said):
        AEOTGANConfig(**settings)


def test_a_batch_size_that_does_not_fit():
    with pytest.raises(UsageError, match="multiple of 4"):
        AEOTGANConfig().pairs(18)
    with pytest.raises(UsageError, match="need the codes of a checkpoint"):
        AEOTGAN(build_model(INFOGAN), ActiveGaussian(3, 3), AEOTGANConfig(weight_content=1.0), nullcontext)


@pytest.mark.parametrize(("norm", "of"), [("l2", lambda y: y.square().mean()), ("l1", lambda y: torch.linalg.vector_norm(y, 1))])
def test_reconstruction_with_squared_error_and_a_weight_on_codes(norm, of):
    """L = w_x·mean (x − x̂)² + w_y·L_y by Adam, L_y = mean y² or ‖y‖₁ of the whole mini-batch, with y only the active dimensions."""
    torch.manual_seed(0)
    autoencoder = build_model(REVNET)
    config = ReconstructionConfig(weight_x=2.0, weight_z=0.0, image_norm="l2", weight_code=3.0, code_norm=norm, max_grad_norm=0.0, lr=1e-3)
    method = Reconstruction(autoencoder, ActiveGaussian(3, 64, bound=0.0, choose="first"), config, nullcontext)
    x, spelled = images(), copy.deepcopy(autoencoder)
    y = spelled.encode(x)[:, :3]
    x_hat = spelled.decode(torch.cat([y, torch.zeros(16, 61)], dim=1))
    L_x, L_y = (x - x_hat).square().mean(), of(y)
    gradients = torch.autograd.grad(2 * L_x + 3 * L_y, list(spelled.parameters()))
    scalars = stepped(method, x)
    assert scalars["L_x"].item() == pytest.approx(L_x.item(), rel=1e-5)
    assert scalars["L_y"].item() == pytest.approx(L_y.item(), rel=1e-5)
    assert scalars["grad_norm"].item() == pytest.approx(torch.cat([g.flatten() for g in gradients]).norm().item(), rel=1e-4)
    assert "L_y" not in stepped(Reconstruction(autoencoder, method.prior, ReconstructionConfig(), nullcontext), x)
    with pytest.raises(UsageError, match="--image-norm l3: choose l1 or l2"):
        ReconstructionConfig(image_norm="l3")


def test_the_l1_norm_of_codes_sums_over_ranks(monkeypatch):
    """Gradients are averaged over ranks, and their average is that of the sum over all codes."""
    y = torch.randn(8, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    (expected,) = torch.autograd.grad(code_loss(y, "l1"), y)
    torch.testing.assert_close(expected, y.sign())
    monkeypatch.setattr("genrev_cli.methods.reconstruction.size", lambda: 2)
    parts = [torch.autograd.grad(code_loss(y[rank::2], "l1"), y)[0] for rank in range(2)]
    torch.testing.assert_close((parts[0] + parts[1]) / 2, expected)


SMALL = {
    "revnet": REVNET,
    "inn": {"name": "inn", "image_shape": [1, 8, 8], "levels": [{"couplings": 1, "hidden": 2}], "hidden_dense": 2},
    "dense": {"name": "dense", "image_shape": [1, 8, 8], "latent_dim": 3, "hidden": [4]},
    "convolutional": {"name": "convolutional", "image_shape": [1, 8, 8], "latent_dim": 3, "stages": [{"channels": 2}]},
    "infogan": INFOGAN,
    "strided": {"name": "strided", "image_shape": [1, 8, 8], "latent_dim": 3, "channels": [2, 4]},
    "residual": {"name": "residual", "image_shape": [1, 8, 8], "latent_dim": 3, "width": 2},
    "sngan": {**INFOGAN, "name": "sngan"},
    "sngan-resnet": {**INFOGAN, "name": "sngan-resnet"},
    "dcgan": {**INFOGAN, "name": "dcgan", "stages": 2},
    "wgan-resnet": {"name": "wgan-resnet", "image_shape": [1, 8, 8], "latent_dim": 3, "channels": [4, 2]},
    "wgan-qc": {**INFOGAN, "name": "wgan-qc", "stages": 2},
}


@pytest.mark.parametrize("name", MODELS)
def test_decoder_modules_are_what_decode_uses(name):
    """`decode` uses all parameters of these modules, and no others."""
    model = build_model(SMALL[name])
    loss = model.decode(torch.randn(4, model.latent_dim)).square().sum()
    loss.backward()
    used = {id(parameter) for parameter in model.parameters() if parameter.grad is not None}
    assert {id(parameter) for module in model.decoder_modules() for parameter in module.parameters()} == used


@pytest.mark.parametrize("name", FAMILIES)
def test_a_generator_alone(name):
    """Without an encoder the generator and its config are the same; the config of a network with one has no new key."""
    torch.manual_seed(0)
    alone = build_model({**SMALL[name], "encoder": False})
    assert alone.config["encoder"] is False
    assert "encoder" not in build_model(SMALL[name]).config
    again = build_model(alone.config)
    again.load_state_dict(alone.state_dict())
    assert {key.split(".")[0] for key in alone.state_dict()} == {"generator"}
    assert (alone.encodes, build_model(SMALL[name]).encodes) == (False, True)
    with pytest.raises(UsageError, match=f"'{name}' has no encoder"):
        alone.encode(images())
    assert build_discriminator(alone.config)(images()).shape == (16,)


@pytest.mark.parametrize("name", MODELS)
def test_span_is_white_minus_black_inside_the_discriminator(name):
    D = build_discriminator(SMALL[name], "none")
    first = next(module for module in D.modules() if isinstance(module, torch.nn.Conv2d))
    seen = []
    first.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    D(torch.cat([torch.zeros(1, 1, 8, 8), torch.ones(1, 1, 8, 8)]))
    assert (seen[0][1] - seen[0][0]).unique().tolist() == [span_of(SMALL[name])]


@pytest.mark.parametrize(("name", "loss", "norm", "layer"), [
    ("infogan", "vanilla", "", torch.nn.BatchNorm2d), ("wgan-resnet", "vanilla", "", torch.nn.GroupNorm),
    ("infogan", "vanilla", "layer", torch.nn.GroupNorm), ("infogan", "wgan-gp", "", torch.nn.GroupNorm),
    ("infogan", "wgan-gp", "batch", torch.nn.GroupNorm),
])  # fmt: skip
def test_the_norm_of_the_discriminator(name, loss, norm, layer):
    """It is the norm of the loss (gradient penalties prescribe one), else the one in the config, else that of D's paper."""
    norms = {type(module) for module in make(SMALL[name], loss=loss, norm=norm).D.modules()} & {torch.nn.BatchNorm2d, torch.nn.GroupNorm}
    assert norms == {layer}


@pytest.mark.parametrize(
    ("loss", "real", "fake", "told"), [("vanilla", 0.97, 0.02, True), ("vanilla", 0.86, 0.14, False), ("hinge-sn", 1.5, -1.5, False)]
)
def test_a_discriminator_that_wins_is_named(loss, real, fake, told):
    found = make(loss=loss).warnings({"D_real": real, "D_fake": fake})
    assert ("D is 0.02 and 0.97" in found.get("discriminator", "")) == told
    assert make().warnings({"L1": 0.1}) == {}, "a line of the monitor"
