"""Linear maps with orthonormal rows, whose gradient is their inverse."""

from torch.autograd import Function


class Orthogonal(Function):
    """Base of a map with MᵀM = 1: `backward` applies the inverse, so nothing is saved for it."""

    generate_vmap_rule = True  # for torch.func's Jacobians

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        """Nothing is kept."""
