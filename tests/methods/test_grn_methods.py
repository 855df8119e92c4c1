"""Schirrmeister et al. 2018, section 2.2: the losses by hand, and how one step of each method changes the parameters."""

import copy
import math
from contextlib import nullcontext

import pytest
import torch

from genrev_cli.errors import UsageError
from genrev_cli.latents import ActiveGaussian
from genrev_cli.methods.adversarial import LatentAdversarial, adversary_loss, encoder_loss
from genrev_cli.methods.matching import LatentMatching
from genrev_cli.methods.reconstruction import Reconstruction, fit_prior, image_loss, latent_loss
from genrev_cli.models import build_model
from genrev_cli.precision import autocast_in
from genrev_cli.settings.adversarial import AdversarialConfig, MatchingConfig
from genrev_cli.settings.reconstruction import ReconstructionConfig

LR = 1e-3


def numbers(*values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize(
    ("x", "x_hat", "expected"),
    [((0.0, 1.0), (0.0, 1.0), 0), ((0.0, 1.0), (0.5, 0.0), 0.75), ((0.2, 0.2, 0.2, 1.0), (0.0, 0.0, 0.0, 0.0), 0.4)],
)
def test_image_loss(x, x_hat, expected):
    assert image_loss(numbers(*x), numbers(*x_hat)).item() == pytest.approx(expected)
    assert image_loss(numbers(*x_hat), numbers(*x)).item() == pytest.approx(expected)


@pytest.mark.parametrize(("norm", "expected"), [("l1", (0.5 + 2 + 0.4 + 1) / 7), ("l2", (0.25 + 4 + 0.16 + 1) / 7)])
def test_a_one_sided_image_loss_spares_black_below_0_and_white_above_1(norm, expected):
    x, x_hat = numbers(0, 0, 0.5, 0.6, 1, 1, 0), numbers(-3, 0.5, -1.5, 1, 1.5, 0, 0).requires_grad_()
    loss = image_loss(x, x_hat, norm, one_sided=True)
    assert loss.item() == pytest.approx(expected)
    (gradient,) = torch.autograd.grad(loss, x_hat)
    assert (gradient != 0).tolist() == [False, True, True, True, False, True, False]
    inside = x_hat.detach().clamp(0, 1)
    assert image_loss(x, inside, norm, one_sided=True) == image_loss(x, inside, norm), "pictures themselves are compared as before"


@pytest.mark.parametrize(("z", "z_hat", "expected"), [((3.0, -1.0), (2.0, 0.0), 1), ((3.0, 0.0), (0.0, 0.0), 4.5), ((1.0,), (1.0,), 0)])
def test_latent_loss(z, z_hat, expected):
    assert latent_loss(numbers(*z), numbers(*z_hat)).item() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("prior", "codes", "expected"),
    [
        ((1.0, 5.0), (-1.0, -7.0), 0),  # both beyond the margin
        ((0.0,), (0.0,), 2),
        ((-2.0, 0.5), (3.0, -3.0, 0.0), (3 + 0.5) / 2 + (4 + 0 + 1) / 3),
    ],
)
def test_adversary_loss(prior, codes, expected):
    """L_D = −E[min(0, −1 + D(prior))] − E[min(0, −1 − D(codes))] (eq. 3): the paper's form equals ours."""
    prior, codes = numbers(*prior), numbers(*codes)
    assert adversary_loss(prior, codes).item() == pytest.approx(expected)
    as_printed = -torch.minimum(numbers(0.0), prior - 1).mean() - torch.minimum(numbers(0.0), -1 - codes).mean()
    assert as_printed.item() == pytest.approx(expected)


def test_encoder_loss():
    assert encoder_loss(numbers(1.0, -4.0, 9.0)).item() == -2


def make(method, config, seed=0, autocast=nullcontext):
    torch.manual_seed(seed)
    autoencoder = build_model({"name": "revnet", "image_shape": [1, 4, 4], "scales": [{"blocks": 1, "hidden": 4}]})
    prior = ActiveGaussian(3, autoencoder.latent_dim, bound=0.5)
    prior.activate(torch.arange(16.0))
    return method(autoencoder, prior, config, autocast)


def images(n=6, seed=1):
    return torch.rand(n, 1, 4, 4, generator=torch.Generator().manual_seed(seed))


def labels(x):
    return torch.zeros(len(x), dtype=torch.int64)


def stepped(method, x, seed=2):
    return method.step(x, labels(x), torch.Generator().manual_seed(seed))


def values(module):
    return [parameter.detach().clone() for parameter in module.parameters()]


def same(module, before):
    return all(torch.equal(a, b) for a, b in zip(module.parameters(), before, strict=True))


def reconstruct(method, x):
    """Compute L_x and L_z of a batch directly."""
    z = method.autoencoder.encode(x)
    z_hat = torch.zeros_like(z)
    z_hat[:, method.prior.active] = z[:, method.prior.active].clamp(-0.5, 0.5)
    x_hat = method.autoencoder.decode(z_hat)
    return (x - x_hat).abs().mean(), (z - z_hat).pow(2).mean()


def follows(module, before, gradients, lr, max_norm):
    """Return True if the change is Adam's first step with β = (0, 0.9): w ← w − lr·g / (|g| + 1e-8), g clipped."""
    norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
    for parameter, old, gradient in zip(module.parameters(), before, gradients, strict=True):
        clipped = gradient * min(1, max_norm / (norm.item() + 1e-6))
        torch.testing.assert_close(parameter.detach(), old - lr * clipped / (clipped.abs() + 1e-8), rtol=0, atol=0.02 * lr)
    return norm.item()


ONE_SIDED = [
    (Reconstruction, ReconstructionConfig, {}),
    (LatentAdversarial, AdversarialConfig, {"prior_samples": 8, "hidden": (5, 6)}),
    (LatentMatching, MatchingConfig, {"matcher": "mmd"}),
]


@pytest.mark.parametrize(("kind", "config", "settings"), ONE_SIDED)
def test_methods_use_the_one_sided_loss_where_it_is_set(kind, config, settings):
    x = images(8).round()
    twice, once = (stepped(make(kind, config(one_sided=on, lr=LR, **settings)), x)["L_x"] for on in (False, True))
    x_R = x.chunk(kind.batches_per_step)[-1]
    autoencoder = make(kind, config(lr=LR, **settings)).autoencoder
    prior = make(kind, config(lr=LR, **settings)).prior
    with torch.no_grad():
        x_hat = autoencoder.decode(prior.restrict(autoencoder.encode(x_R)))
    torch.testing.assert_close(twice, image_loss(x_R, x_hat))
    torch.testing.assert_close(once, image_loss(x_R, x_hat, one_sided=True))
    assert once < twice


@pytest.mark.parametrize(("weight_x", "weight_z"), [(10.0, 10.0), (1.0, 0.0), (0.0, 3.0), (2.0, 5.0)])
def test_reconstruction_step(weight_x, weight_z):
    """One Adam step on L = w_x·L_x + w_z·L_z changes all parameters."""
    method = make(Reconstruction, ReconstructionConfig(weight_x, weight_z, lr=LR))
    x, before = images(), values(method.autoencoder)
    L_x, L_z = reconstruct(method, x)
    gradients = torch.autograd.grad(weight_x * L_x + weight_z * L_z, list(method.autoencoder.parameters()))
    scalars = stepped(method, x)
    norm = follows(method.autoencoder, before, gradients, LR, 5.0)
    assert scalars.keys() == {"L_x", "L_z", "grad_norm"}
    for name, expected in (("L_x", L_x.item()), ("L_z", L_z.item()), ("grad_norm", norm)):
        assert scalars[name].item() == pytest.approx(expected, rel=1e-5)
        assert not scalars[name].requires_grad


def test_reconstruction_learns():
    method = make(Reconstruction, ReconstructionConfig(lr=1e-2))
    x = images()
    first, *_, last = [stepped(method, x) for _ in range(60)]
    assert 10 * last["L_x"] + 10 * last["L_z"] < 0.5 * (10 * first["L_x"] + 10 * first["L_z"])


def test_start_activates_the_widest_dimensions():
    method = make(Reconstruction, ReconstructionConfig())
    x = images(50)
    with torch.no_grad():
        widest = method.autoencoder.encode(x).std(0).topk(3).indices.sort().values
    for batch in (50, 7):
        method.prior.activate(torch.arange(16.0))
        method.start(lambda batch=batch: ((part, None) for part in x.split(batch)))
        assert torch.equal(method.prior.active, widest)
    fit_prior(method.autoencoder, method.prior, lambda: iter([(x, None)]))
    assert torch.equal(method.prior.active, widest)


CONFIG = AdversarialConfig(lr=LR, lr_adversary=4 * LR, prior_samples=8, hidden=(5, 6), max_grad_norm_adversary=0.1)


def adversarial(config=CONFIG, **options):
    return make(LatentAdversarial, config, **options)


def test_adversary_learns_from_the_first_half_and_the_network_from_the_second():
    a, b, c = (images(4, seed) for seed in (1, 2, 3))
    method, other_second, other_first = (adversarial() for _ in range(3))
    for one, halves in ((method, (a, b)), (other_second, (a, c)), (other_first, (c, b))):
        stepped(one, torch.cat(halves))
    assert same(other_second.D, values(method.D))
    assert not same(other_second.autoencoder, values(method.autoencoder))
    assert not same(other_first.D, values(method.D))


def test_adversary_update():
    """L_D uses codes of the first half and prior samples of the step's generator; Adam has its own rate and clipping."""
    method, x = adversarial(), images(8)
    spelled = copy.deepcopy(method)
    before = values(spelled.D)
    y = spelled.autoencoder.encode(x[:4])[:, spelled.prior.active].detach()
    y_prior = torch.randn(8, 3, generator=torch.Generator().manual_seed(2))
    D_prior, D_codes = spelled.D(y_prior), spelled.D(y)
    L_D = torch.relu(1 - D_prior).mean() + torch.relu(1 + D_codes).mean()
    gradients = torch.autograd.grad(L_D, list(spelled.D.parameters()))
    scalars = stepped(method, x)
    norm = follows(method.D, before, gradients, 4 * LR, 0.1)
    expected = {"L_D": L_D.item(), "D_prior": D_prior.mean().item(), "D_codes": D_codes.mean().item(), "grad_norm_D": norm}
    assert {name: scalars[name].item() for name in expected} == pytest.approx(expected, rel=1e-5)


def test_network_update():
    """The loss is L_E + w_x·L_x + w_z·L_z on the second half, with the adversary just updated."""
    method, x = adversarial(), images(8)
    spelled = copy.deepcopy(method)
    spelled._update_D(x[:4], torch.Generator().manual_seed(2))
    before = values(spelled.autoencoder)
    L_x, L_z = reconstruct(spelled, x[4:])
    L_E = -spelled.D(spelled.autoencoder.encode(x[4:])[:, spelled.prior.active]).mean()
    gradients = torch.autograd.grad(L_E + 10 * L_x + 10 * L_z, list(spelled.autoencoder.parameters()))
    scalars = stepped(method, x)
    norm = follows(method.autoencoder, before, gradients, LR, 5.0)
    expected = {"L_E": L_E.item(), "L_x": L_x.item(), "L_z": L_z.item(), "grad_norm": norm}
    assert {name: scalars[name].item() for name in expected} == pytest.approx(expected, rel=1e-5)


def test_each_loss_reaches_its_own_parameters():
    method, x = adversarial(), images(4)
    before_D, before_R = values(method.D), values(method.autoencoder)
    method._update_D(x, torch.Generator().manual_seed(0))
    assert same(method.autoencoder, before_R)
    assert not same(method.D, before_D)
    before_D = values(method.D)
    method._update_R(x)
    assert same(method.D, before_D)
    assert not same(method.autoencoder, before_R)
    assert all(parameter.grad is None for module in (method.D, method.autoencoder) for parameter in module.parameters())


@pytest.mark.parametrize(("method", "config"), [(Reconstruction, ReconstructionConfig(lr=LR)), (LatentAdversarial, CONFIG)])
def test_a_step_is_a_pure_function(method, config):
    """The same modules, batch and generator give the same step to the bit, for any state of the global generator."""
    results = []
    for noise in (0, 1):
        one = make(method, config)
        torch.manual_seed(noise)
        results.append((stepped(one, images(8)), values(one.autoencoder)))
    (first, weights), (second, others) = results
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert all(torch.equal(a, b) for a, b in zip(weights, others, strict=True))


@pytest.mark.parametrize(("method", "config"), [(Reconstruction, ReconstructionConfig(lr=LR)), (LatentAdversarial, CONFIG)])
def test_bfloat16_is_close(method, config, device):
    half, full = (make(method, config, autocast=autocast_in(device, precision)) for precision in ("bf16", "fp32"))
    for one in (half, full):
        for module in one.modules.values():
            module.to(device)
    a, b = (one.step(images(8).to(device), labels(images(8)), torch.Generator(device).manual_seed(0)) for one in (half, full))
    assert not torch.equal(a["L_x"], b["L_x"]), "autocast did nothing"
    for name in a:
        assert a[name].item() == pytest.approx(b[name].item(), rel=0.1, abs=0.02)
        assert math.isfinite(a[name])


@pytest.mark.parametrize("settings", [{"prior_samples": 0}, {"prior_samples": -3}, {"hidden": (0, 8)}])
def test_impossible_settings(settings):
    with pytest.raises(UsageError, match="(--prior-samples -?\\d:|hidden = .*;) must be at least 1"):
        AdversarialConfig(**settings)


def test_the_papers_defaults():
    """The defaults are those of section 3.1 and the authors' notebooks."""
    recon, adversary = ReconstructionConfig(), AdversarialConfig()
    for config in (recon, adversary):
        assert (config.weight_x, config.weight_z, config.lr, config.betas, config.max_grad_norm) == (10, 10, 1e-4, (0, 0.9), 5)
    assert (adversary.lr_adversary, adversary.max_grad_norm_adversary, adversary.prior_samples, adversary.hidden) == (
        4e-4,
        1000,
        750,
        (400, 800),
    )
    assert LatentAdversarial.batches_per_step == 2
