"""The FID of every profile equals that of the tool with its name, on the same images and random weights."""

import functools

import numpy as np
import pytest
import scipy
import torch
from PIL import Image
from torch.nn.functional import interpolate

from genrev_cli.bench.random_inception import drawn_weights
from genrev_cli.metrics.features import InceptionExtractor
from genrev_cli.metrics.frechet import Moments, frechet_distance

for peer, version in (("torch_fidelity", "0.3"), ("torchmetrics", "1.8")):  # 1.8: the antialiased resize of the profile
    pytest.importorskip(peer, minversion=version, reason=f"{peer} {version} is needed; the extra 'bench' installs it")

pytestmark = pytest.mark.slow

N, BATCH = 10, 5


def images(sharpest, seed):
    """Return mixtures of smooth images and noise, so that sets differ in mean and covariance. sharpest: the largest share of noise."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randint(0, 256, (N, 3, 32, 32), generator=generator).float()
    smooth = interpolate(torch.randint(0, 256, (N, 3, 5, 5), generator=generator).float(), (32, 32), mode="bilinear")
    share = sharpest * torch.rand(N, 1, 1, 1, generator=generator)
    return (share * noise + (1 - share) * smooth).round().to(torch.uint8)


SETS = images(1.0, seed=0), images(0.5, seed=1)


@pytest.fixture(scope="module")
def weights():
    return drawn_weights(0)


@pytest.fixture(scope="module")
def weights_file(weights, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "w.pth"
    torch.save(weights, path)
    return str(path)


@pytest.fixture(scope="module")
def ours(weights):
    """Return a function from a profile to genrev's FID between the two sets."""

    @functools.cache
    def fid(profile):
        extractor = InceptionExtractor(weights, weights_sha256="", profile=profile)
        sides = [Moments(extractor.dims) for _ in SETS]
        for moments, pixels in zip(sides, SETS, strict=True):
            moments.add(extractor(pixels))
        return frechet_distance(*(moments.statistics() for moments in sides))

    return fid


@pytest.mark.skipif(
    tuple(map(int, scipy.__version__.split(".")[:2])) >= (1, 18),
    reason="pytorch-fid's matrix root does not run on SciPy 1.18; its features and formula are compared in tests/metrics/test_features.py",
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:Matrix is singular")  # of its call of scipy.linalg.sqrtm
def test_pytorch_fid(ours, weights, tmp_path, monkeypatch):
    from pytorch_fid import fid_score, inception

    monkeypatch.setattr(inception, "load_state_dict_from_url", lambda *_, **__: weights)
    for side, pixels in zip("ab", SETS, strict=True):
        (tmp_path / side).mkdir()
        for i, image in enumerate(pixels):
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(tmp_path / side / f"{i:02}.png")
    theirs = fid_score.calculate_fid_given_paths([str(tmp_path / "a"), str(tmp_path / "b")], BATCH, "cpu", 2048, num_workers=0)
    assert ours("pytorch-fid") == pytest.approx(theirs, rel=1e-5)


def test_torch_fidelity(ours, weights_file):
    from torch_fidelity import metric_fid
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    network = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], feature_extractor_weights_path=weights_file)
    features = [torch.cat([network(batch)[0] for batch in pixels.split(BATCH)]) for pixels in SETS]
    statistics = [metric_fid.fid_features_to_statistics(rows) for rows in features]
    theirs = metric_fid.fid_statistics_to_metric(*statistics, verbose=False)[metric_fid.KEY_METRIC_FID]
    assert ours("tf") == pytest.approx(theirs, rel=1e-5)


def test_torchmetrics(ours, weights_file):
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = FrechetInceptionDistance(feature=2048, feature_extractor_weights_path=weights_file)
    for pixels, real in zip(SETS, (True, False), strict=True):
        for batch in pixels.split(BATCH):
            metric.update(batch, real=real)
    assert ours("torchmetrics") == pytest.approx(metric.compute().item(), rel=1e-5)


def test_the_profiles_differ(ours):
    """Otherwise the tests above could not detect a mixed-up profile."""
    values = np.array([ours(profile) for profile in ("pytorch-fid", "tf", "torchmetrics")])
    gaps = np.abs(values[:, None] - values[None])[~np.eye(3, dtype=bool)]
    assert gaps.min() > 1e-3 * values.max()
