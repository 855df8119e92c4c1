"""`genrev.load`: what a model does with arrays, pictures, paths and tensors."""

import math

import numpy as np
import pytest
import torch
from made_photos import photo
from PIL import Image

import genrev_cli as genrev
from genrev_cli.data.transform import LARGEST, Transform
from genrev_cli.errors import FileError, GenrevError, UsageError
from genrev_cli.files.samples import sample_files
from genrev_cli.progress import SILENT
from genrev_cli.scoring.measure import measure
from genrev_cli.settings.fid import FidOptions


@pytest.fixture(scope="module")
def model(world):
    return genrev.load(world / "adversarial.safetensors", device="cpu")


@pytest.fixture(scope="module")
def flow(world):
    return genrev.load(str(world / "flow.safetensors"), device="cpu")


@pytest.fixture(scope="module")
def images(world):
    return genrev.open_data(world / "data.h5").images[:7]


def test_it_says_what_it_is(model):
    assert model.image_shape == (3, 8, 12)
    assert model.classes == ("cats", "dogs")
    assert (model.prior.dim, model.prior.latent_dim) == (5, 288)
    assert "3×8×12" in repr(model)
    assert model.header.config["stage"] == "train-adversarial"


def test_codes_are_those_of_the_command(model, world):
    data, codes = genrev.open_data(world / "data.h5"), genrev.open_codes(world / "codes.h5")
    found = model.encode(data.images[:], batch=256)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, codes.codes)


def test_a_full_code_comes_back_as_the_image(model, images):
    z = model.encode(images, full=True)
    assert z.shape == (7, 288)
    np.testing.assert_array_equal(model.decode(z), images)
    np.testing.assert_array_equal(model.reconstruct(images, full=True), images)


def test_a_restricted_code_is_the_active_part_of_the_full_one(model, images):
    z = torch.from_numpy(model.encode(images, full=True))
    y = model.encode(images)
    np.testing.assert_array_equal(y, model.prior.select(model.prior.restrict(z)).numpy())
    np.testing.assert_array_equal(model.decode(y), model.reconstruct(images))


def test_every_layout_of_the_same_images_gives_the_same_codes(model, images):
    y = model.encode(images)
    last = images.transpose(0, 2, 3, 1)
    for same in (last, np.ascontiguousarray(last), images / np.float32(255), images / 255.0, torch.from_numpy(images)):
        np.testing.assert_allclose(np.asarray(model.encode(same)), y, atol=1e-6)
    np.testing.assert_array_equal(model.encode(images[0]), model.encode(images[:1]))
    np.testing.assert_array_equal(model.encode(last[0]), model.encode(images[:1]))
    pictures = [Image.fromarray(one) for one in last]
    np.testing.assert_array_equal(model.encode(pictures), y)
    np.testing.assert_array_equal(model.encode(pictures[0]), model.encode(images[:1]))


def test_results_do_not_depend_on_the_batch(model, images):
    np.testing.assert_allclose(model.encode(images, batch=2), model.encode(images), atol=1e-6)
    assert np.abs(model.decode(model.encode(images), batch=3).astype(int) - model.reconstruct(images)).max() <= 1


def test_pictures_of_any_size_are_prepared_as_the_data_was(model, tmp_path):
    picture = photo(3, (90, 50))
    path = tmp_path / "photo.png"
    picture.save(path)
    prepared = Transform(channels=3, size=(12, 8), crop=LARGEST).on(picture)
    wanted = model.encode(np.asarray(prepared))
    for given in (picture, [picture], path, str(path), [path], tmp_path):
        np.testing.assert_array_equal(model.encode(given), wanted)


@pytest.mark.parametrize("mode", ["RGBA", "L", "P", "CMYK", "1", "LA"])
def test_pictures_of_every_mode_are_read_as_their_files_would_be(model, tmp_path, mode):
    picture = photo(5).convert(mode)
    if mode == "RGBA":
        picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    path = tmp_path / ("p.tif" if mode == "CMYK" else "p.png")
    picture.save(path)
    np.testing.assert_array_equal(model.encode(picture), model.encode(path))


def test_a_turned_photo_is_turned_back(model, tmp_path):
    upright, exif = photo(6, (60, 40)), Image.Exif()
    exif[0x0112] = 6  # to be turned by 90° clockwise
    path = tmp_path / "turned.png"
    upright.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)
    np.testing.assert_array_equal(model.encode(path), model.encode(upright))
    with Image.open(path) as opened:
        np.testing.assert_array_equal(model.encode(opened), model.encode(upright))


def test_samples_equal_those_of_the_command_to_the_bit(model, world, run, tmp_path):
    code, _, _ = run(
        "sample", "--ckpt", model.path, "-n", 70, "--seed", 3, "--out", tmp_path / "samples", "--device", "cpu", "--temperature", 0.8
    )
    assert code == 0
    files = [np.asarray(Image.open(path)).transpose(2, 0, 1) for path in sorted(sample_files(tmp_path / "samples"))]
    np.testing.assert_array_equal(model.sample(70, seed=3, temperature=0.8), np.stack(files))


def test_codes_of_samples_are_decoded_to_the_samples(model):
    codes = model.sample_codes(5, seed=2)
    assert codes.shape == (5, 5)
    assert np.abs(model.decode(codes).astype(int) - model.sample(5, seed=2)).max() <= 1
    assert model.sample(0).shape == (0, 3, 8, 12)


def test_codes_are_drawn_from_a_sampler(world, run, tmp_path):
    mixture = genrev.load(world / "adversarial.safetensors", device="cpu", sampler=world / "gmm.safetensors")
    run("sample", "--ckpt", mixture.path, "--gmm", world / "gmm.safetensors", "-n", 4, "--out", tmp_path / "s.npz", "--device", "cpu")
    np.testing.assert_array_equal(mixture.sample(4), np.load(tmp_path / "s.npz")["images"])
    assert mixture.prior.config["name"] == "active-gaussian"


def test_tensors_give_tensors_with_gradients(model, images):
    x = (torch.from_numpy(images[:2]) / 255).requires_grad_()
    y = model.encode(x)
    image = model.decode(y)
    assert image.shape == (2, 3, 8, 12)
    assert image.is_floating_point()
    (gradient,) = torch.autograd.grad(image.square().sum(), x)
    assert gradient.abs().sum() > 0
    exact = model.decode(model.encode(x, full=True))
    torch.testing.assert_close(exact, x, atol=1e-5, rtol=0)
    assert all(parameter.grad is None for parameter in model.network.parameters())


def test_an_interpolation_ends_at_its_images(model, images):
    line = model.interpolate(images[:2], images[2:4], 5, full=True)
    assert line.shape == (2, 5, 3, 8, 12)
    np.testing.assert_array_equal(line[:, 0], images[:2])
    np.testing.assert_array_equal(line[:, -1], images[2:4])
    restricted = model.interpolate(images[:2], images[2:4], 5, path="spherical")
    np.testing.assert_array_equal(restricted[:, 0], model.reconstruct(images[:2]))
    with pytest.raises(UsageError, match="2 images cannot be paired with 1"):
        model.interpolate(images[:2], images[:1])
    with pytest.raises(UsageError, match="path curved: choose linear, spherical, map or flow"):
        model.interpolate(images[:1], images[:1], path="curved")
    with pytest.raises(UsageError, match="needs a transport map of 'genrev fit-ot'"):
        model.interpolate(images[:1], images[:1], path="map")


def test_the_likelihood_agrees_with_the_score(flow, world):
    data = genrev.open_data(world / "data.h5")
    options = FidOptions(str(flow.path.with_name("data.h5")), "all", metrics=("bpd",), ckpt=flow.path, device="cpu")
    measured = measure(None, options, SILENT).numbers
    found = -flow.log_prob(data.images[:]) / (288 * math.log(2))
    assert found.mean() == pytest.approx(measured["value"], abs=5 * measured["bits_per_dim_standard_error"])
    np.testing.assert_array_equal(flow.log_prob(data.images[:3]), flow.log_prob(data.images[:3]))


def test_a_model_without_a_likelihood_says_so(model, images):
    with pytest.raises(UsageError, match="a likelihood needs a prior over all 288 dimensions"):
        model.log_prob(images)


def test_the_density_of_a_reconstruction_by_the_whole_jacobian(model, flow, images):
    """log N(y; 0, I) − ½ log det(JᵀJ), J the Jacobian of the decoder; each image has its own."""
    found = model.log_prob_on_manifold(images, batch=3)
    assert found.shape == (len(images),)
    y = torch.from_numpy(model.encode(images[:1]))
    J = torch.autograd.functional.jacobian(lambda y: model.network.decode(model.prior.embed(y)).flatten(), y)[:, 0].double()
    normal = -y.square().sum() / 2 - model.prior.dim / 2 * math.log(2 * math.pi)
    assert found[0] == pytest.approx((normal - torch.logdet(J.T @ J) / 2).item(), rel=1e-5)
    with pytest.raises(UsageError, match="a density on the manifold needs N\\(0, I\\) as prior, not 'diagonal-gaussian'"):
        flow.log_prob_on_manifold(images)


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (np.zeros((2, 3, 9, 9), np.uint8), r"an array has shape \(2, 3, 9, 9\), but .* takes \(N, 3, 8, 12\); give pictures"),
        (np.zeros((2, 3, 8, 12), np.int64), "pixels are int64; give uint8 from 0 to 255, or float from 0 to 1"),
        (np.full((1, 3, 8, 12), 255.0), "pixels are from 255 to 255, but float pixels are from 0"),
        (np.linspace(-1, 1, 288).reshape(1, 3, 8, 12), "pixels are from -1 to 1"),
        (torch.linspace(-1, 1, 288).reshape(1, 3, 8, 12), "pixels are from -1 to 1"),
        (np.full((1, 3, 8, 12), np.nan), "pixels are from nan to nan"),
        (torch.zeros(1, 1, 8, 12), r"a tensor has shape \(1, 1, 8, 12\)"),
        ([1, 2], "images are given as int; give a NumPy array"),
        ([], "images are given as nothing"),
        (["a.png", Image.new("L", (3, 3))], "images are given as Image, str"),
        ([Image.new("F", (3, 3))], "a picture cannot be used: floating-point pixels"),
    ],
)
def test_what_is_no_image_is_refused_in_a_sentence(model, given, error):
    with pytest.raises(UsageError, match=error):
        model.encode(given)


@pytest.mark.parametrize(
    ("codes", "error"),
    [
        (np.zeros((2, 7)), "codes have 7 dimensions, but those of .* have 5, or 288 for the full latent"),
        (np.zeros((2, 5), int), "codes are an array of int64"),
        (torch.zeros(2, 2, 5), "codes are a tensor of"),
    ],
)
def test_what_is_no_code_is_refused_in_a_sentence(model, codes, error):
    with pytest.raises(UsageError, match=error):
        model.decode(codes)


def test_errors_of_files_and_classes(model, world, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    with pytest.raises(FileError, match=r"broken\.png: not a usable picture \(.*\); repair or remove it"):
        model.encode(tmp_path / "broken.png")
    with pytest.raises(FileError, match=r"gone\.png: no such file or folder"):
        model.encode(tmp_path / "gone.png")
    with pytest.raises(UsageError, match="--class birds: no such class; the classes are cats, dogs"):
        model.sample(1, label="birds")
    with pytest.raises(UsageError, match="class 0: 'active-gaussian' has no classes"):
        model.sample(1, label="cats")
    with pytest.raises(GenrevError, match="codes.h5: holds codes, of encode, but a .safetensors file is needed"):
        genrev.load(world / "codes.h5")


@pytest.fixture(scope="module")
def matched(world, run_fit_flow):
    """The model with a flow of its codes, which the folder's codes were drawn from."""
    return genrev.load(world / "adversarial.safetensors", device="cpu", sampler=run_fit_flow)


@pytest.fixture(scope="module")
def run_fit_flow(world):
    from genrev_cli.cli import main

    words = ["fit-flow", world / "codes.h5", "--steps", 30, "--width", 16, "--solver", "rk4", "--solver-steps", 32, "--device", "cpu"]
    assert main([str(word) for word in [*words, "--out", world / "matched.safetensors"]]) == 0
    return world / "matched.safetensors"


def test_a_flow_is_a_bijection_with_a_density(matched, images):
    y = matched.encode(images)
    x = matched.gaussian_codes(y)
    assert np.abs(x - y).max() > 1e-3
    np.testing.assert_allclose(matched.codes_of_gaussian(x), y, atol=2e-3)
    np.testing.assert_array_equal(matched.gaussian_codes(y, batch=2), x)
    assert matched.log_prob_of_codes(y).shape == (7,)
    assert matched.log_prob_of_codes(y).mean() > matched.log_prob_of_codes(y + 100).max()
    tensor = matched.gaussian_codes(torch.from_numpy(y))
    assert isinstance(tensor, torch.Tensor)
    ends = matched.interpolate(images[:1], images[1:2], steps=3, path="flow")
    assert np.abs(ends[0, [0, 2]].astype(int) - matched.reconstruct(images[:2])).max() <= 1


def test_a_flow_refuses_what_it_cannot_do(matched, model):
    with pytest.raises(UsageError, match="codes have 4 dimensions, but the flow has 5"):
        matched.gaussian_codes(np.zeros((2, 4), np.float32))
    with pytest.raises(UsageError, match="'flow' has no classes"):
        matched.log_prob_of_codes(np.zeros((2, 5), np.float32), label="cats")
    with pytest.raises(UsageError, match="has no flow; give a file of 'genrev fit-flow'"):
        model.gaussian_codes(np.zeros((2, 5), np.float32))
    with pytest.raises(UsageError, match="path flow: needs a flow of 'genrev fit-flow'"):
        model.interpolate(np.zeros((1, 3, 8, 12), np.uint8), np.zeros((1, 3, 8, 12), np.uint8), path="flow")
