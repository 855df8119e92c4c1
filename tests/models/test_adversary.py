"""The latent adversary: its equation by hand, and a Lipschitz constant of at most 1 (Schirrmeister et al. 2018, eq. 4)."""

import pytest
import torch

from genrev_cli.models.adversary import LatentAdversary


def linears(D):
    return [D.linear1, D.linear2, D.linear3]


def settled(D, rounds=300):
    """Run `rounds` power iterations on unchanged weights."""
    D.train()
    with torch.no_grad():
        for _ in range(rounds):
            D(torch.zeros(1, D.linear1.in_features, device=D.linear1.bias.device, dtype=D.linear1.bias.dtype))
    return D.eval()


def test_equation_by_hand():
    """d = 1, h₁ = h₂ = 1. Normalised: 3 → 1, (3, 4) → (0.6, 0.8), −2 → −1.

    D(y) = −relu(0.6·relu(y + 1) + 0.8·relu(−y − 1) + 0.5) + 2
    """
    D = LatentAdversary(1, (1, 1)).double()
    values = ([[3.0]], [1.0]), ([[3.0, 4.0]], [0.5]), ([[-2.0]], [2.0])
    with torch.no_grad():
        for linear, (weight, bias) in zip(linears(D), values, strict=True):
            linear.parametrizations.weight.original.copy_(torch.tensor(weight))
            linear.bias.copy_(torch.tensor(bias))
    y = torch.tensor([[-3.0], [-1.0], [0.0], [2.0]], dtype=torch.float64)
    expected = [2 - (0.8 * 2 + 0.5), 2 - 0.5, 2 - (0.6 + 0.5), 2 - (0.6 * 3 + 0.5)]
    torch.testing.assert_close(settled(D)(y), torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=1e-9)


def test_spectral_norm(device):
    torch.manual_seed(0)
    D = LatentAdversary(16, (40, 80)).to(device, torch.float64)
    with torch.no_grad():
        for linear in linears(D):
            linear.parametrizations.weight.original.mul_(50)
    settled(D)
    for linear in linears(D):
        assert torch.linalg.matrix_norm(linear.weight, 2).item() == pytest.approx(1, abs=1e-4)


def test_one_power_iteration_follows_slow_weights():
    """One power iteration per pass is enough to follow weights that change slowly."""
    torch.manual_seed(0)
    D = settled(LatentAdversary(16, (40, 80)).double()).train()
    for _ in range(50):
        with torch.no_grad():
            for linear in linears(D):
                weight = linear.parametrizations.weight.original
                weight.add_(1e-3 * torch.randn_like(weight))
            D(torch.zeros(1, 16, dtype=torch.float64))
    D.eval()
    assert all(torch.linalg.matrix_norm(linear.weight, 2) < 1.02 for linear in linears(D))


def test_lipschitz():
    """|D(a) − D(b)| ≤ ‖a − b‖: the three linear maps have norm one, and both kinds of ReLU have Lipschitz constant one."""
    torch.manual_seed(0)
    D = settled(LatentAdversary(8, (20, 40)).double())
    a, b = 3 * torch.randn(2, 500, 8, dtype=torch.float64)
    assert ((D(a) - D(b)).abs() <= (a - b).norm(dim=1) * (1 + 1e-4)).all()


def test_shapes_and_sizes():
    D = LatentAdversary(64)
    assert D(torch.zeros(5, 64)).shape == (5,)
    assert [tuple(linear.weight.shape) for linear in linears(D)] == [(400, 64), (800, 800), (1, 800)]
    assert all(parameter.requires_grad for parameter in D.parameters())
