"""The networks of published GANs: their layers, their mirrors and their initialisation."""

from collections import Counter
from itertools import pairwise
from math import prod

import pytest
import torch
from gan_cases import HQ, OWN_NORM, PUBLISHED, SMALL, autoencoder, discriminator, every_family, every_published, images, table
from torch import nn

from genrev_cli.errors import UsageError
from genrev_cli.models import build_model
from genrev_cli.models.blocks import maps
from genrev_cli.models.gan import FAMILIES, NORMS, build_discriminator
from genrev_cli.models.gan.wganqc import RatioBlock


def test_every_family_is_tested():
    assert FAMILIES.keys() == SMALL.keys() == OWN_NORM.keys() == {config["name"] for config in PUBLISHED.values()}


@every_published
def test_published_shapes(name):
    config = PUBLISHED[name]
    with torch.device("meta"):
        model, x = build_model(config), torch.empty(3, *config["image_shape"])
        y = model.encode(x)
        assert y.shape == (3, config["latent_dim"])
        assert model.decode(y).shape == x.shape
        for norm in NORMS:
            D = build_discriminator(config, norm)
            assert D(x).shape == (3,)
            assert all(tensor.is_meta for tensor in D.state_dict().values())
            assert {key for key, _ in D.named_buffers()} <= D.state_dict().keys()


def layers(network):
    """Return (kernel, stride, inputs, outputs) of convolutions and (inputs, outputs) of linear layers, in order."""
    found = []
    for layer in maps(network):
        if isinstance(layer, nn.Linear):
            found.append((layer.in_features, layer.out_features))
        else:
            found.append((layer.kernel_size[0], layer.stride[0], layer.in_channels, layer.out_channels))
    return found


def block(inputs, hidden, outputs):
    return [(3, 1, inputs, hidden), (3, 1, hidden, outputs), (1, 1, inputs, outputs)]


def up(a, b):
    return block(a, b, b)


def down(a, b):
    return block(a, a, b)


def scaled(a, b):
    """The layers of a block of WGAN-QC."""
    return [(3, 1, a, min(a, b)), (3, 1, min(a, b), b), *([(1, 1, a, b)] if a != b else [])]


def chained(*channels):
    """The layers of blocks of WGAN-QC that follow each other."""
    return [layer for a, b in pairwise(channels) for layer in scaled(a, b)]


QC_UP = chained(512, 512, 512, 512, 512, 256, 256, 128, 128, 64, 64)
QC_UP_256 = chained(512, 512, 512, 512, 512, 256, 128, 64, 64)
QC_DOWN = chained(64, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512)
QC_DOWN_256 = chained(64, 64, 128, 256, 512, 512, 512, 512, 512)

GENERATORS = {
    # Chen et al. 2016, appendix C.1: FC 1024 · FC 7×7×128 · 4×4 upconv 64 stride 2 · 4×4 upconv 1 channel
    "infogan": [(64, 1024), (1024, 7 * 7 * 128), (4, 2, 128, 64), (4, 2, 64, 1)],
    # Miyato et al. 2018, Table 3 (a)
    "sngan": [(128, 4 * 4 * 512), (4, 2, 512, 256), (4, 2, 256, 128), (4, 2, 128, 64), (3, 1, 64, 3)],
    # Table 4 (a): dense, 4×4×256 · ResBlock up 256 · ResBlock up 256 · ResBlock up 256 · BN, ReLU, 3×3 conv, 3
    "sngan-resnet": [(128, 4 * 4 * 256), *up(256, 256), *up(256, 256), *up(256, 256), (3, 1, 256, 3)],
    # Radford et al. 2016, Figure 1, with half as many channels (Gulrajani et al.'s and Wu et al.'s code)
    "dcgan": [(128, 4 * 4 * 512), (5, 2, 512, 256), (5, 2, 256, 128), (5, 2, 128, 64), (5, 2, 64, 3)],
    "dcgan-radford": [(100, 4 * 4 * 1024), (5, 2, 1024, 512), (5, 2, 512, 256), (5, 2, 256, 128), (5, 2, 128, 3)],
    # the code of Gulrajani et al. and of Wu et al.: 'GoodGenerator'
    "wgan-resnet": [(128, 4 * 4 * 512), *up(512, 512), *up(512, 256), *up(256, 128), *up(128, 64), (3, 1, 64, 3)],
    "wgan-resnet-256": [
        (128, 4 * 4 * 512), *up(512, 512), *up(512, 256), *up(256, 128), *up(128, 64), *up(64, 32), *up(32, 16), (3, 1, 16, 3)
    ],
    # harryliew/WGAN-QC: 'ResNet_G' in models/resnet2.py, and in models/resnet1.py for 256×256
    "wgan-qc": [(128, 4 * 4 * 512), *QC_UP, (3, 1, 64, 3)],
    "wgan-qc-256": [(128, 4 * 4 * 512), *QC_UP_256, (3, 1, 64, 3)],
}  # fmt: skip
DISCRIMINATORS = {
    "infogan": [(4, 2, 1, 64), (4, 2, 64, 128), (7 * 7 * 128, 1024), (1024, 1)],
    # Table 3 (b)
    "sngan": [
        (3, 1, 3, 64), (4, 2, 64, 64), (3, 1, 64, 128), (4, 2, 128, 128), (3, 1, 128, 256), (4, 2, 256, 256), (3, 1, 256, 512),
        (4 * 4 * 512, 1),
    ],
    # Table 4 (b): ResBlock down 128 · ResBlock down 128 · ResBlock 128 · ResBlock 128 · ReLU · global sum pooling · dense
    "sngan-resnet": [*block(3, 128, 128), *down(128, 128), *[(3, 1, 128, 128)] * 4, (128, 1)],
    "dcgan": [(5, 2, 3, 64), (5, 2, 64, 128), (5, 2, 128, 256), (5, 2, 256, 512), (4 * 4 * 512, 1)],
    "dcgan-radford": [(5, 2, 3, 128), (5, 2, 128, 256), (5, 2, 256, 512), (5, 2, 512, 1024), (4 * 4 * 1024, 1)],
    "wgan-resnet": [(3, 1, 3, 64), *down(64, 128), *down(128, 256), *down(256, 512), *down(512, 512), (4 * 4 * 512, 1)],
    "wgan-resnet-256": [
        (3, 1, 3, 16), *down(16, 32), *down(32, 64), *down(64, 128), *down(128, 256), *down(256, 512), *down(512, 512), (4 * 4 * 512, 1)
    ],
    # 'ResNet_D' of the same files
    "wgan-qc": [(3, 1, 3, 64), *QC_DOWN, (4 * 4 * 512, 1)],
    "wgan-qc-256": [(3, 1, 3, 64), *QC_DOWN_256, (4 * 4 * 512, 1)],
}  # fmt: skip


@every_published
def test_layers(name):
    with torch.device("meta"):
        assert layers(build_model(PUBLISHED[name]).generator) == GENERATORS[name]
        assert layers(build_discriminator(PUBLISHED[name], "none")) == DISCRIMINATORS[name]


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def weights(of):
    return sum(prod(layer) if len(layer) == 2 else layer[0] ** 2 * layer[2] * layer[3] for layer in of)


def outputs(of, kernel=0):
    """Return the sum of the output channels of convolutions, of one kernel or of all."""
    return sum(layer[3] for layer in of if kernel in (0, layer[0]))


@pytest.mark.parametrize(
    ("name", "generator", "shifts", "D", "D_shifts", "encoder", "encoder_shifts"),
    [
        # Besides the weights of the layers above: a scale and a shift wherever batch norm (in D: the paper's norm) follows,
        # and a bias elsewhere. InfoGAN normalises every unit of its linear layers; the others normalise channels only.
        ("infogan", 6_634_881, 2 * (1024 + 6272 + 64) + 1, 6_558_017, 64 + 2 * (128 + 1024) + 1, 6_622_656, 2 * (64 + 128 + 1024) + 64),
        ("sngan", 3_812_931, 8192 + 2 * (512 + 256 + 128 + 64) + 3, 2_935_873, 64 + 64 + 128 + 128 + 256 + 256 + 512 + 1,
         3_804_864, 2 * (64 + 128 + 256 + 512) + 128),
        # The authors' generator has 4,276,739 parameters: it also has the biases that batch norm cancels, 9·256.
        ("sngan-resnet", 4_276_739 - 2304, 4096 + 3 * 2 * (256 + 256) + 2 * 256 + 3, 1_053_825, 3 * 128 + 3 * 128 + 4 * 128 + 1,
         4_270_464, 3 * 2 * (256 + 256) + 2 * 256 + 128),
        ("dcgan", 5_364_291, 8192 + 2 * (512 + 256 + 128 + 64) + 3, 4_315_649, 64 + 2 * (128 + 256 + 512) + 1,
         5_356_224, 2 * (64 + 128 + 256 + 512) + 128),
        ("wgan-resnet", 8_538_563, 8192 + 2 * (512 + 512 + 512 + 256 + 256 + 128 + 128 + 64) + 2 * 64 + 3,
         7_491_841, 64 + sum(2 * (a + a) + 2 * b for a, b in ((64, 128), (128, 256), (256, 512), (512, 512))) + 1,
         8_530_496, sum(2 * (a + a) for a in (64, 128, 256, 512)) + 2 * 512 + 128),
        ("wgan-resnet-256", 8_574_579, 8192 + sum(2 * (a + b) for a, b in pairwise(HQ)) + 2 * 16 + 3,
         7_528_001, 16 + sum(2 * (b + b) + 2 * a for a, b in pairwise(HQ)) + 1,
         8_566_512, sum(2 * (b + b) for b in HQ[1:]) + 2 * 512 + 128),
        # The authors' generator has 24,004,675 parameters: it also has the biases that batch norm cancels, 4·4·512.
        ("wgan-qc", 24_004_675 - 8192, 2 * (8192 + outputs(QC_UP)) + 3, 22_933_441, 64 + outputs(QC_DOWN, kernel=3) + 1,
         23_982_080, 64 + 2 * outputs(QC_DOWN) + 128),
        ("wgan-qc-256", 22_528_579 - 8192, 2 * (8192 + outputs(QC_UP_256)) + 3, 21_458_113, 64 + outputs(QC_DOWN_256, kernel=3) + 1,
         22_505_984, 64 + 2 * outputs(QC_DOWN_256) + 128),
    ],
)  # fmt: skip
def test_parameter_counts(name, generator, shifts, D, D_shifts, encoder, encoder_shifts):
    with torch.device("meta"):
        model, critic = build_model(PUBLISHED[name]), build_discriminator(PUBLISHED[name], OWN_NORM[PUBLISHED[name]["name"]])
    counted = [count(model.generator), count(critic), count(model.encoder)]
    derived = [weights(GENERATORS[name]) + shifts, weights(DISCRIMINATORS[name]) + D_shifts, weights(GENERATORS[name]) + encoder_shifts]
    assert counted == derived == [generator, D, encoder]


@every_family
def test_the_default_norm_is_the_papers(name):
    family = FAMILIES[name]
    settings = family.settings(**{key: value for key, value in SMALL[name].items() if key != "name"})
    assert family.discriminator(settings).state_dict().keys() == build_discriminator(SMALL[name], OWN_NORM[name]).state_dict().keys()


def kinds(network):
    """Return the names of all layers in order, for networks without branches."""
    return " ".join(
        type(module).__name__ for module in network.modules() if not list(module.children()) and type(module) is not nn.Identity
    )


CONV, UP, LINEAR = "Conv2d BatchNorm2d ReLU", "ConvTranspose2d BatchNorm2d ReLU", "Linear BatchNorm1d ReLU"
PLAIN, NORMED = "Conv2d LeakyReLU", "Conv2d BatchNorm2d LeakyReLU"


@pytest.mark.parametrize(
    ("name", "generator", "encoder", "D", "slope"),
    [
        ("infogan", f"{LINEAR} {LINEAR} Unflatten {UP} ConvTranspose2d", f"{CONV} {CONV} Flatten {LINEAR} Linear",
         f"{PLAIN} {NORMED} Flatten Linear BatchNorm1d LeakyReLU Linear", 0.1),
        ("sngan", f"Linear Unflatten BatchNorm2d ReLU {UP} {UP} {UP} Conv2d", f"{CONV} {CONV} {CONV} {CONV} Flatten Linear",
         f"{PLAIN} {NORMED} {NORMED} {NORMED} {NORMED} {NORMED} {NORMED} Flatten Linear", 0.1),
        ("dcgan", f"Linear Unflatten BatchNorm2d ReLU {UP} ConvTranspose2d", f"{CONV} {CONV} Flatten Linear",
         f"{PLAIN} {NORMED} Flatten Linear", 0.2),
    ],
)  # fmt: skip
def test_order_of_norms_and_activations(name, generator, encoder, D, slope):
    model, critic = autoencoder(SMALL[name]), discriminator(SMALL[name], "batch")
    assert [kinds(model.generator), kinds(model.encoder), kinds(critic)] == [generator, encoder, D]
    assert {module.negative_slope for module in critic.modules() if isinstance(module, nn.LeakyReLU)} == {slope}
    assert kinds(discriminator(SMALL[name], "layer")) == D.replace("BatchNorm2d", "GroupNorm").replace("BatchNorm1d", "GroupNorm")
    assert kinds(discriminator(SMALL[name], "none")) == D.replace(" BatchNorm2d", "").replace(" BatchNorm1d", "")


def ends(network, x):
    """Return (input size, output size) of every convolution and linear layer, for one image."""
    found, hooks = Counter(), []
    for layer in maps(network):
        hooks.append(layer.register_forward_hook(lambda _, args, out: found.update([(args[0][0].numel(), out[0].numel())])))
    network(x)
    for hook in hooks:
        hook.remove()
    return found


@every_family
def test_the_encoder_is_the_generators_mirror(name):
    """Layer by layer, the input size of the one is the output size of the other."""
    model = autoencoder(SMALL[name])
    going = ends(model.encoder, images(SMALL[name]))
    coming = ends(model.generator, torch.randn(5, 5, dtype=torch.float64))
    assert going == Counter({(out, into): n for (into, out), n in coming.items()})


@every_family
def test_pixels_between_0_and_1(name):
    model = autoencoder(SMALL[name])
    x = model.decode(1000 * torch.randn(200, 5, dtype=torch.float64))
    assert x.min() >= 0
    assert x.max() <= 1
    for layer in maps(model.generator):
        layer.weight.data.mul_(100)
    x = model.decode(torch.randn(200, 5, dtype=torch.float64))
    assert x.min().item() == pytest.approx(0, abs=1e-6)
    assert x.max().item() == pytest.approx(1, abs=1e-6)


@every_family
def test_black_is_minus_one_if_the_generator_ends_in_tanh(name):
    seen = []
    for network in (autoencoder(SMALL[name]).encoder, discriminator(SMALL[name], "none")):
        maps(network)[0].register_forward_pre_hook(lambda _, args: seen.extend(args))
        network(torch.zeros(2, *SMALL[name]["image_shape"], dtype=torch.float64))
    assert len(seen) == 2
    assert all((x == (0 if name == "infogan" else -1)).all() for x in seen)


def networks(config):
    torch.manual_seed(0)
    model = build_model(config)
    return model.encoder, model.generator, build_discriminator(config, "none")


@pytest.mark.parametrize(
    "config", [table("infogan", (1, 28, 28), width=8), table("dcgan", (3, 64, 64), 20, width=8)], ids=["infogan", "dcgan"]
)
def test_weights_start_normal(config):
    """Weights are N(0, 0.02²), biases 0, scales 1 and shifts 0."""
    for network in networks(config):
        everything = torch.cat([layer.weight.flatten() for layer in maps(network)])
        assert everything.mean().item() == pytest.approx(0, abs=4 * 0.02 / len(everything) ** 0.5)
        assert everything.std().item() == pytest.approx(0.02, rel=0.02)
        assert everything.abs().max() > 0.06
        assert all((parameter == 0).all() for key, parameter in network.named_parameters() if key.endswith("bias"))


@pytest.mark.parametrize(
    "config",
    [
        table("sngan", (3, 32, 32), width=8),
        table("sngan-resnet", (3, 32, 32), width=16),
        table("wgan-resnet", (3, 64, 64), channels=[32] * 5),
    ],
    ids=lambda config: config["name"],
)
def test_weights_start_glorot_uniform(config):
    """Weights lie in ± √(6 / (fan in + fan out)), √2 times that in residual branches; biases are 0."""
    for network in networks(config):
        branches = {id(layer) for key, part in network.named_modules() if key.endswith("residual") for layer in maps(part)}
        assert bool(branches) == ("resnet" in config["name"])
        for layer in maps(network):
            fans = sum(layer.weight.shape[:2]) * layer.weight[0, 0].numel()
            bound = (6 / fans) ** 0.5 * (2**0.5 if id(layer) in branches else 1)
            assert 0.9 * bound < layer.weight.abs().max() <= bound * (1 + 1e-6)
        assert all((parameter == 0).all() for key, parameter in network.named_parameters() if key.endswith("bias"))


def test_weights_of_wgan_qc_start_by_fan():
    """Convolutions have N(0, 2 / fan in) in G and E, N(0, 2 / fan out) in D. Linear layers and biases have torch's own start."""
    for network, fan in zip(networks(table("wgan-qc", (3, 32, 32), 20, width=16, stages=3)), (1, 1, 0), strict=True):
        for layer in maps(network):
            bound = layer.weight[0].numel() ** -0.5
            assert layer.bias is None or 0 < layer.bias.abs().max() <= bound
            if isinstance(layer, nn.Conv2d):
                std = (2 / (layer.weight.shape[fan] * layer.weight[0, 0].numel())) ** 0.5
                assert layer.weight.std().item() == pytest.approx(std, abs=4 * std / (2 * layer.weight.numel()) ** 0.5)
            else:
                assert 0.9 * bound < layer.weight.abs().max() <= bound


@pytest.mark.parametrize("ratio", [0.1, 0.0, 2.0])
@pytest.mark.parametrize("outputs", [3, 5])
def test_a_block_of_wgan_qc(ratio, outputs):
    """leaky ReLU(S(x) + r·F(x)) with F(x) = W₂ * leaky ReLU(W₁ * x + b₁) + b₂, where S is W₃ * x if the channels change, else x."""
    torch.manual_seed(0)
    block, x = RatioBlock(3, outputs, "none", ratio).double(), torch.randn(2, 3, 4, 6, dtype=torch.float64)
    first, second, *projection = maps(block)
    conv, leaky = nn.functional.conv2d, lambda x: torch.where(x > 0, x, 0.2 * x)
    branch = conv(leaky(conv(x, first.weight, first.bias, padding=1)), second.weight, second.bias, padding=1)
    shortcut = conv(x, projection[0].weight) if outputs != 3 else x
    torch.testing.assert_close(block(x), leaky(shortcut + ratio * branch), rtol=1e-12, atol=1e-12)
    assert len(projection) == (outputs != 3)


def test_the_ratio_of_a_config_reaches_every_block():
    for network in networks(table("wgan-qc", (3, 16, 16), width=2, stages=2, ratio=0.3)):
        blocks = [part for part in network.modules() if isinstance(part, RatioBlock)]
        assert [block.ratio for block in blocks] == [0.3] * 6


def test_wgan_qc_halves_by_means_of_nine_pixels():
    """With r = 0 and a unit first convolution, D sees a white 4×4 image as (4/9, 6/9; 6/9, 1): means of 3×3 pixels, zeros outside."""
    D = discriminator(table("wgan-qc", (1, 4, 4), width=1, most=1, stages=1, ratio=0.0), "none")
    first, last = maps(D)[0], maps(D)[-1]
    with torch.no_grad():
        first.bias.zero_()
        nn.init.dirac_(first.weight)
    seen = torch.tensor([4, 6, 6, 9], dtype=torch.float64) / 9
    torch.testing.assert_close(D(torch.ones(1, 1, 4, 4, dtype=torch.float64)), last.weight @ seen + last.bias)


@every_family
def test_codes_of_a_batch_do_not_affect_each_other_in_eval_mode(name):
    model = autoencoder(SMALL[name])
    model.decode(model.encode(images(SMALL[name])))  # statistics that are not 0 and 1
    y = torch.randn(4, 5, dtype=torch.float64)
    model.eval()
    torch.testing.assert_close(model.decode(y)[:1], model.decode(y[:1]), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (table("infogan", (1, 1, 1)), "infogan: images of 1×1 pixels cannot be halved 2 times"),
        (table("infogan", (1, 28, 0)), "infogan: width of an image = 0 must be positive"),
        (table("infogan", (0, 28, 28)), "channels of an image = 0 must be positive"),
        (table("infogan", (1, 28, 28), width=0), "infogan: width = 0 must be positive"),
        (table("infogan", (1, 28, 28), 0), "latent_dim = 0"),
        (table("infogan", (1, 28, 28), stages=2), "unknown key 'stages'"),
        (table("sngan", (3, 3, 2)), "sngan: images of 3×2 pixels cannot be halved 3 times"),
        (table("sngan", (3, 32, 32), width=-1), "width = -1"),
        (table("sngan-resnet", (3, 3, 3)), "sngan-resnet: images of 3×3 pixels cannot be halved 3 times"),
        (table("sngan-resnet", (3, 32, 32), -2), "latent_dim = -2"),
        (table("dcgan", (3, 7, 5)), "dcgan: images of 7×5 pixels cannot be halved 4 times"),
        (table("dcgan", (3, 64, 64), stages=0), "stages = 0"),
        (table("dcgan", (3, 64, 64), stages=-1), "stages = -1"),
        (table("wgan-resnet", (3, 64, 64), channels=[8] * 9), "wgan-resnet: images of 64×64 pixels cannot be halved 8 times"),
        (table("wgan-resnet", (3, 64, 64), channels=[]), "smallest of channels = 0"),
        (table("wgan-resnet", (3, 64, 64), channels=[8, 0]), "smallest of channels = 0"),
        (table("wgan-qc", (3, 7, 5)), "wgan-qc: images of 7×5 pixels cannot be halved 4 times"),
        (table("wgan-qc", (3, 64, 64), stages=0), "stages = 0"),
        (table("wgan-qc", (3, 64, 64), blocks=0), "blocks = 0"),
        (table("wgan-qc", (3, 64, 64), most=0), "most = 0"),
    ],
)
def test_bad_configs(config, said):
    for build in (build_model, lambda config: build_discriminator(config, "none")):
        with pytest.raises(UsageError, match=said):
            build(config)
