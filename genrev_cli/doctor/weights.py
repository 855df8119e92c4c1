"""Check the weights of the Inception network, which FID needs. Nothing is downloaded."""

from genrev_cli.doctor.finding import Outcome, skipped, verdict
from genrev_cli.doctor.subject import Subject
from genrev_cli.metrics.weights import NAME, local_inception_weights, require_readable, weights_places


def inception_weights(subject: Subject) -> Outcome:
    """Look for the weights in the places that genrev fid searches, and check that the file is complete."""
    path = local_inception_weights()
    if path is None:
        folder = weights_places()[0].parent
        return skipped(f"not found; 'genrev fid' downloads them to {folder}; or put {NAME} there, or set GENREV_WEIGHTS to its path")
    require_readable(path)
    return verdict(True, f"found: {path}", {"bytes": path.stat().st_size})
