"""Orthogonal linear maps. Their gradient is their inverse."""

from torch.autograd import Function


class Orthogonal(Function):
    """Base class of maps with MᵀM = 1. `backward` applies the inverse, so it needs no saved tensors."""

    generate_vmap_rule = True  # for torch.func's Jacobians

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        """Keep nothing."""
