"""The discriminators of published GANs: residual blocks, second derivatives, properties of the norms, and which model gets which."""

import pytest
import torch
from gan_cases import SMALL, autoencoder, discriminator, every_family, every_norm, images, table
from torch import nn

from genrev_cli.errors import UsageError
from genrev_cli.models.blocks import down_block, first_block, flat_block, maps, up_block
from genrev_cli.models.gan import FAMILIES, build_discriminator
from genrev_cli.models.gan.dcgan import DCGANDiscriminator
from genrev_cli.models.gan.infogan import InfoGANDiscriminator
from genrev_cli.models.gan.resnet import SNGANResNetDiscriminator, WGANResNetDiscriminator
from genrev_cli.models.gan.sngan import SNGANDiscriminator


def test_shortcuts():
    """With zero residual branches and unit 1×1 convolutions, blocks repeat pixels, average four pixels, or change nothing."""
    x = torch.randn(2, 3, 4, 6)
    blocks = {"up": up_block(3, 3), "down": down_block(3, 3, "layer"), "first": first_block(3, 3, "none"), "flat": flat_block(3, "layer")}
    with torch.no_grad():
        for each in blocks.values():
            for layer in maps(each.residual):
                layer.weight.zero_()
            for layer in maps(each.shortcut):
                nn.init.dirac_(layer.weight)
    means = x.unflatten(3, (3, 2)).unflatten(2, (2, 2)).mean(dim=(3, 5))
    torch.testing.assert_close(blocks["up"](x), x.repeat_interleave(2, 2).repeat_interleave(2, 3))
    torch.testing.assert_close(blocks["down"](x), means)
    torch.testing.assert_close(blocks["first"](x), means)
    assert torch.equal(blocks["flat"](x), x)


def test_branches():
    """With unit convolutions and no norm, a branch is two ReLUs and a mean; the first block has no ReLU on the image."""
    x = torch.randn(2, 3, 4, 4)
    down, first, flat = down_block(3, 3, "none"), first_block(3, 3, "none"), flat_block(3, "none")
    for each in (down, first, flat):
        for layer in maps(each):
            nn.init.dirac_(layer.weight)
    mean = nn.AvgPool2d(2)
    torch.testing.assert_close(down(x), mean(x.relu()) + mean(x))
    torch.testing.assert_close(first(x), mean(x.relu()) + mean(x))  # ReLU only between its convolutions
    torch.testing.assert_close(flat(x), x.relu() + x)
    maps(first)[0].weight.data.neg_()  # first weight −1: relu(−x) is not 0 only if the branch sees negative pixels
    torch.testing.assert_close(first(x), mean((-x).relu()) + mean(x))


@pytest.mark.parametrize(("name", "settings"), [("sngan-resnet", {"width": 1}), ("wgan-resnet", {"channels": [1, 1, 1]})])
def test_residual_discriminators_by_hand(name, settings):
    """With one channel, zero residual branches, unit convolutions elsewhere and m the means of 4×4 pixels in [−1, 1]:

    SNGAN: D(x) = w·Σ relu(m) + b,   WGAN-GP: D(x) = ⟨w, m⟩ + b
    """
    config = table(name, (1, 8, 8), **settings)
    D = discriminator(config, "none")
    with torch.no_grad():
        for layer in maps(D)[:-1]:
            nn.init.zeros_(layer.bias)
            nn.init.dirac_(layer.weight)
        for key, part in D.named_modules():
            if key.endswith("residual"):
                for layer in maps(part):
                    layer.weight.zero_()
    x, head = images(config), maps(D)[-1]
    means = nn.functional.avg_pool2d(2 * x - 1, 4)
    expected = head.weight * means.relu().sum(dim=(2, 3)) if name == "sngan-resnet" else (head.weight * means.flatten(1)).sum(1, True)
    torch.testing.assert_close(D(x), (expected + head.bias).squeeze(1), rtol=1e-12, atol=1e-12)


def assert_all_reached(named, gradients):
    """Assert that no gradient is zero up to rounding, as that of a bias before batch norm would be."""
    largest = max(gradient.abs().max() for gradient in gradients)
    for (key, _), gradient in zip(named, gradients, strict=True):
        assert gradient.isfinite().all()
        assert gradient.abs().max() > 1e-7 * largest, key


@every_family
@every_norm
def test_gradient_reaches_every_parameter_of_a_discriminator(name, norm):
    D = discriminator(SMALL[name], norm)
    scores = D(images(SMALL[name], 16))
    named = list(D.named_parameters())
    assert_all_reached(named, torch.autograd.grad((scores * torch.arange(16)).sum(), [parameter for _, parameter in named]))


@every_family
def test_gradient_reaches_every_parameter_of_an_autoencoder(name):
    model = autoencoder(SMALL[name])
    x = images(SMALL[name], 16)
    named = list(model.named_parameters())
    y = model.encode(x)
    loss = (x - model.decode(y)).square().mean() + y.square().mean()  # batch norm in InfoGAN's decoder removes a shift of the codes
    assert_all_reached(named, torch.autograd.grad(loss, [parameter for _, parameter in named]))


def critic_loss(D, x):
    """Compute a WGAN-GP loss on one batch: E D(x) + E (‖∇D(x)‖ − 1)²."""
    x = x.clone().requires_grad_()
    scores = D(x)
    (slopes,) = torch.autograd.grad(scores.sum(), x, create_graph=True)
    return scores.mean() + (slopes.flatten(1).norm(dim=1) - 1).square().mean()


@every_family
@pytest.mark.parametrize("norm", ["none", "layer", "spectral"])
def test_gradient_of_a_gradient_penalty(name, norm):
    """Along a random direction it equals finite differences."""
    D = discriminator(SMALL[name], norm).eval()  # no power iteration between two evaluations
    x, parameters = images(SMALL[name]), list(D.parameters())
    gradients = torch.autograd.grad(critic_loss(D, x), parameters)
    assert all(gradient.isfinite().all() for gradient in gradients)
    generator = torch.Generator().manual_seed(2)
    direction = [torch.randn(p.shape, generator=generator, dtype=p.dtype) * p.detach().abs().mean() for p in parameters]

    def moved(by):
        with torch.no_grad():
            torch._foreach_add_(parameters, direction, alpha=by)
        value = critic_loss(D, x).item()
        with torch.no_grad():
            torch._foreach_sub_(parameters, direction, alpha=by)
        return value

    step = 1e-7
    slope = (moved(step) - moved(-step)) / (2 * step)
    expected = sum((gradient * d).sum() for gradient, d in zip(gradients, direction, strict=True)).item()
    assert abs(expected) > 1e-6
    assert slope == pytest.approx(expected, rel=1e-4)


@every_family
@every_norm
@pytest.mark.parametrize("training", [True, False])
def test_only_batch_norm_lets_images_of_a_batch_affect_each_other(name, norm, training):
    x = images(SMALL[name])

    def scores(of):
        # built anew, because a pass in training mode changes statistics and singular vectors
        return discriminator(SMALL[name], norm).train(training)(of)

    others = torch.cat([x[:2], 1 - x[2:]])
    difference = (scores(others)[:2] - scores(x)[:2]).abs().max().item()
    assert difference > 1e-6 if (norm, training) == ("batch", True) else difference < 1e-12


@every_family
def test_layer_norm_removes_the_scale_of_weights(name):
    """Ten times the weights before it, which have no bias, give the same scores."""
    D = discriminator(SMALL[name], "layer")
    x, unbiased = images(SMALL[name]), [layer for layer in maps(D) if layer.bias is None]
    scores = []
    for _ in range(2):
        for layer in unbiased:
            layer.weight.data.mul_(1000)  # so large that the ε of the norm has no effect
        scores.append(D(x))
    assert unbiased
    torch.testing.assert_close(*scores, rtol=1e-3, atol=1e-3)
    assert sum(isinstance(module, nn.GroupNorm) for module in D.modules()) >= len(unbiased)


@every_family
def test_spectral_norm_bounds_every_layer(name):
    D = discriminator(SMALL[name], "spectral")
    x = images(SMALL[name], 1)
    with torch.no_grad():
        for layer in maps(D):
            layer.parametrizations.weight.original.mul_(50)
        for _ in range(200):
            D(x)
    D.eval()
    for layer in maps(D):
        assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, abs=1e-3)
    assert torch.equal(D(x), D(x))
    assert not any(isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d | nn.GroupNorm) for module in D.modules())


@every_family
@every_norm
def test_a_discriminator_loads_its_state(name, norm):
    """It is built on the meta device first, as when it is read from a file."""
    D = discriminator(SMALL[name], norm, torch.float32)
    x = images(SMALL[name], dtype=torch.float32)
    D(x)
    with torch.device("meta"):
        again = build_discriminator(SMALL[name], norm)
    again.load_state_dict(D.state_dict(), assign=True)
    assert not any(tensor.is_meta for tensor in (*again.parameters(), *again.buffers()))
    assert torch.equal(again.eval()(x), D.eval()(x))


@every_family
@every_norm
def test_discriminators_in_bfloat16(name, norm, device):
    D, x = discriminator(SMALL[name], norm, torch.float32).to(device).eval(), images(SMALL[name], dtype=torch.float32).to(device)
    before = x.clone()
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16):
        scores = D(x)
    assert scores.dtype == torch.float32
    assert scores.shape == (5,)
    assert torch.equal(x, before)
    assert 0 < (scores - D(x)).abs().max() < 0.05 * max(1, D(x).abs().max())


@pytest.mark.parametrize(
    ("image_shape", "kind", "features"),
    [
        ((1, 28, 28), InfoGANDiscriminator, 7 * 7 * 128),
        ((1, 8, 8), InfoGANDiscriminator, 2 * 2 * 128),
        ((1, 32, 32), InfoGANDiscriminator, 8 * 8 * 128),
        ((3, 28, 28), InfoGANDiscriminator, 7 * 7 * 128),
        ((3, 32, 32), SNGANDiscriminator, 4 * 4 * 512),
        ((1, 48, 48), SNGANDiscriminator, 6 * 6 * 512),
        ((3, 64, 64), DCGANDiscriminator, 4 * 4 * 512),
        ((3, 96, 80), DCGANDiscriminator, 6 * 5 * 512),
        ((3, 128, 128), WGANResNetDiscriminator, 4 * 4 * 512),
        ((3, 256, 256), WGANResNetDiscriminator, 4 * 4 * 512),
        ((3, 224, 192), WGANResNetDiscriminator, 7 * 6 * 512),
        # with a margin
        ((1, 30, 28), InfoGANDiscriminator, 8 * 7 * 128),
        ((1, 5, 7), InfoGANDiscriminator, 2 * 2 * 128),
        ((3, 30, 28), SNGANDiscriminator, 4 * 4 * 512),
        ((3, 33, 47), SNGANDiscriminator, 5 * 6 * 512),
        ((1, 64, 40), DCGANDiscriminator, 4 * 3 * 512),
        ((3, 100, 100), WGANResNetDiscriminator, 7 * 7 * 512),
        ((3, 156, 128), WGANResNetDiscriminator, 5 * 4 * 512),
        ((3, 218, 178), WGANResNetDiscriminator, 7 * 6 * 512),
        ((3, 255, 256), WGANResNetDiscriminator, 4 * 4 * 512),
        ((1, 8, 256), WGANResNetDiscriminator, 1 * 16 * 512),
    ],
)
def test_other_autoencoders_get_a_discriminator_by_image_size(image_shape, kind, features):
    with torch.device("meta"):
        D = build_discriminator({"name": "revnet", "image_shape": list(image_shape), "scales": []}, "none")
        assert D(torch.empty(2, *image_shape)).shape == (2,)
    assert type(D) is kind
    linear = next(layer for layer in maps(D) if isinstance(layer, nn.Linear))
    assert linear.in_features == features


def test_a_family_gets_its_own_discriminator():
    """The image size does not matter."""
    D = build_discriminator(SMALL["sngan-resnet"], "spectral")
    assert type(D) is SNGANResNetDiscriminator
    assert D.head.in_features == 4


@pytest.mark.parametrize("image_shape", [(3, 512, 512), (3, 512, 4), (1, 257, 256)])
def test_no_discriminator_fits(image_shape):
    with pytest.raises(UsageError, match=rf"no discriminator fits images of {image_shape[1]}×{image_shape[2]} pixels"):
        build_discriminator({"name": "inn", "image_shape": image_shape}, "none")


@every_family
@pytest.mark.parametrize("norm", ["instance", ""])
def test_unknown_norms(name, norm):
    with pytest.raises(UsageError, match=rf"norm = '{norm}'; choose batch, layer, spectral, none"):
        build_discriminator(SMALL[name], norm)
    family = FAMILIES[name]
    with pytest.raises(UsageError, match="; choose batch"):
        family.discriminator(family.settings(**{key: value for key, value in SMALL[name].items() if key != "name"}), norm)
