"""Training by optimal transport (Schirrmeister et al. 2018, section 3.2): the losses by hand, and one step."""

import copy
from contextlib import nullcontext

import pytest
import torch

from genrev_cli.errors import UsageError
from genrev_cli.latents import ActiveGaussian, ClassGaussians
from genrev_cli.methods.transport import ClassTransport, perturbation_loss
from genrev_cli.models import build_model
from genrev_cli.ot.discrete import transport_loss
from genrev_cli.precision import autocast_in
from genrev_cli.settings.transport import TransportConfig

LR = 1e-3
REVNET = {"name": "revnet", "image_shape": [1, 4, 4], "scales": [{"blocks": 1, "hidden": 4}]}


def images(n=12, seed=1):
    return torch.rand(n, 1, 4, 4, generator=torch.Generator().manual_seed(seed))


def labels(n=12):
    return torch.arange(n) % 3


def make(config=None, classes=3, autocast=nullcontext):
    torch.manual_seed(0)
    autoencoder = build_model(REVNET)
    method = ClassTransport(autoencoder, ClassGaussians(16, classes), config or TransportConfig(lr=LR), autocast)
    method.start(lambda: [(images(), labels())])
    return method


def stepped(method, x, y, seed=2):
    return method.step(x, y, torch.Generator(x.device).manual_seed(seed))


def values(module):
    return [parameter.detach().clone() for parameter in module.parameters()]


def test_perturbation_loss():
    x, moved = torch.tensor([0.0, 1.0]), torch.tensor([0.5, 1.0])
    assert perturbation_loss(x, moved).item() == pytest.approx(0.25 / 2 + 0.5 / 2)


def test_start_fits_each_class():
    method = make()
    with torch.no_grad():
        z = method.autoencoder.encode(images())
    torch.testing.assert_close(method.prior.mean[1].detach(), z[1::3].mean(0))
    torch.testing.assert_close(method.prior.std[1].detach(), z[1::3].std(0), rtol=1e-4, atol=1e-6)


def test_a_step_is_adam_on_the_loss_by_hand():
    method = make()
    spelled, x, y = copy.deepcopy(method), images(), labels()
    generator = torch.Generator().manual_seed(2)
    z = spelled.autoencoder.encode(x)
    moved = spelled.autoencoder.decode(z + 0.01 * torch.randn(12, 16, generator=generator))
    s = spelled.prior.mean[y] + spelled.prior.std[y] * torch.randn(12, 16, generator=generator)
    L_ot = sum(transport_loss(z[y == k], s[y == k]) for k in range(3)) / 3
    L_perturb = (x - moved).square().mean() + (x - moved).abs().mean()
    parameters = [*spelled.autoencoder.parameters(), *spelled.prior.parameters()]
    adam = torch.optim.Adam(parameters, lr=LR)
    for parameter, gradient in zip(parameters, torch.autograd.grad(L_ot + 15 * L_perturb, parameters), strict=True):
        parameter.grad = gradient
    adam.step()
    spelled.prior.std.data.clamp_(min=0)
    scalars = stepped(method, x, y)
    assert scalars["L_ot"].item() == pytest.approx(L_ot.item(), rel=1e-5)
    assert scalars["L_perturb"].item() == pytest.approx(L_perturb.item(), rel=1e-4)
    for mine, theirs in zip([*values(method.autoencoder), *values(method.prior)], parameters, strict=True):
        torch.testing.assert_close(mine, theirs.detach(), rtol=1e-4, atol=1e-5)


def test_scales_stay_positive():
    method = make(TransportConfig(lr=1.0))
    for seed in range(5):
        stepped(method, images(seed=seed), labels(), seed)
    assert method.prior.std.min() == 0


def test_codes_and_gaussians_come_together():
    method = make(TransportConfig(lr=1e-2))
    x, y = images(60), labels(60)
    first, *_, last = [stepped(method, x, y, seed) for seed in range(60)]
    assert last["L_ot"] < 0.7 * first["L_ot"]


def test_a_pure_function_of_its_arguments():
    one, two = make(), make()
    torch.manual_seed(5)
    a = stepped(one, images(), labels())
    torch.manual_seed(6)
    b = stepped(two, images(), labels())
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert all(torch.equal(p, q) for p, q in zip(values(one.prior), values(two.prior), strict=True))


def test_one_class_for_unlabelled_images():
    method = make(classes=1)
    assert torch.equal(stepped(method, images(), torch.full((12,), -1))["L_ot"], stepped(make(classes=1), images(), labels())["L_ot"])


def test_dimensions_in_use():
    method = make()
    method.prior.std.data = torch.zeros(3, 16)
    method.prior.std.data[:, 0], method.prior.std.data[1, 3], method.prior.std.data[2, 5] = 1.0, 0.5, 0.05
    assert method.describe(method.prior) == {"dims_per_class": pytest.approx(4 / 3), "dims_used": 2, "dims_shared": 1}


def test_bfloat16_is_close(device):
    half, full = (make(autocast=autocast_in(device, precision)) for precision in ("bf16", "fp32"))
    for method in (half, full):
        method.autoencoder.to(device), method.prior.to(device)
    a, b = (stepped(method, images().to(device), labels().to(device)) for method in (half, full))
    assert not torch.equal(a["L_perturb"], b["L_perturb"]), "autocast did nothing"
    assert a["L_ot"].item() == pytest.approx(b["L_ot"].item(), rel=0.05)


@pytest.mark.parametrize(
    ("model", "prior", "said"),
    [
        (
            {"name": "dense", "image_shape": [1, 4, 4], "latent_dim": 16, "hidden": [8]},
            ClassGaussians(16, 3),
            "needs an invertible network",
        ),
        (REVNET, ActiveGaussian(4, 16), "not 'active-gaussian'"),
    ],
)
def test_models_and_priors_that_are_refused(model, prior, said):
    with pytest.raises(UsageError, match=said):
        ClassTransport(build_model(model), prior, TransportConfig(), nullcontext)


@pytest.mark.parametrize("settings", [{"noise": -0.1}, {"weight_perturbation": -1.0}])
def test_impossible_settings(settings):
    with pytest.raises(UsageError, match="must be at least 0"):
        TransportConfig(**settings)


def test_the_papers_defaults():
    c = TransportConfig()
    assert (c.weight_perturbation, c.noise, c.lr, c.betas, c.max_grad_norm) == (15, 0.01, 1e-3, (0.9, 0.999), 0)
