"""Distributions of latent codes, and paths between codes."""

from typing import Any

from genrev_cli.errors import UsageError
from genrev_cli.latents.priors import ActiveGaussian, Prior

PRIORS: dict[str, type[Prior]] = {"active-gaussian": ActiveGaussian}


def build_prior(config: dict[str, Any]) -> Prior:
    """The prior that a config describes; its tensors are still to be loaded.

    Raises UsageError on an unknown name or key.
    """
    name = config.get("name")
    if name not in PRIORS:
        raise UsageError(f"[prior]: name = {name!r} is unknown; there is {', '.join(PRIORS)}")
    try:
        return PRIORS[name](**{key: value for key, value in config.items() if key != "name"})
    except TypeError as error:
        raise UsageError(f"[prior]: {str(error).partition('() ')[2] or error}") from error


__all__ = ["PRIORS", "ActiveGaussian", "Prior", "build_prior"]
