"""The mathematics of the page, without HTTP: what a slider does to a code, and the command that does the same."""

import json
import shlex
from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch
from PIL import Image

from genrev_cli.cli import main
from genrev_cli.errors import UsageError
from genrev_cli.explore import photos
from genrev_cli.explore.app import frame
from genrev_cli.explore.asked import Asked, Changes, asked_of, changes_of
from genrev_cli.explore.commands import file_name
from genrev_cli.explore.session import Opened, Session
from genrev_cli.files.images import open_images
from genrev_cli.progress import SILENT
from genrev_cli.settings.edits import Edits
from genrev_cli.settings.flow import FitFlowOptions
from genrev_cli.settings.sampling import SamplerFile
from genrev_cli.shapes import to_pixels
from genrev_cli.stages.fit_flow import fit_flow
from genrev_cli.store.checkpoints import load_checkpoint
from genrev_cli.store.samplers import open_model

BOTH = Changes(edits=Edits(move=(("7", 1.5),), dims=((2, -2.0),)))


def shown(session, number):
    return session.photos.get(number).pixels


def test_a_photo_comes_back_from_its_full_latent_and_the_page_says_how_well(session, folder):
    number = session.draw(Asked(kind="data", split="test", number=3))
    with h5py.File(folder / "digits.h5") as file:
        row = np.flatnonzero(file["split"][:] == 2)[3]
        assert (shown(session, number)[0].numpy() == file["images"][row]).all()
    trip = session.summary(number)["trip"]
    assert 0 <= trip["mean"] <= trip["largest"] < 1e-5
    assert trip["wrong"] == int((shown(session, number)[2] != shown(session, number)[0]).sum()) == 0
    assert trip["restricted"] > 0.01


def test_no_change_gives_the_photo_and_no_rest_the_restricted_picture(session):
    number = session.draw(Asked(kind="data", split="test", number=3))
    original, restricted, _ = shown(session, number)
    assert (session.edited(number, Changes()) == original).all()
    assert ((session.edited(number, Changes(rest=0.0)).int() - restricted.int()).abs() <= 1).all()


def test_sliders_add_up_in_the_code(session):
    """z' = z + s·scale·v + t·σ·e, and inactive dimensions stay."""
    number = session.draw(Asked(kind="data", split="test", number=3))
    z, moved = session.photos.get(number).z, session.latent(number, BOTH)
    prior, directions = session.prior, session.directions
    step = prior.embed(directions.move("7", 1.5)[None])
    step[0, prior.active[2]] -= 2.0
    assert torch.allclose(moved, z + step, atol=1e-6)
    inactive = np.setdiff1d(np.arange(prior.latent_dim), prior.active.numpy())
    assert (moved[0, inactive] == z[0, inactive]).all()
    half = session.latent(number, Changes(rest=0.5))
    assert torch.allclose(half[0, inactive], z[0, inactive] / 2)
    assert (session.edited(number, BOTH) == to_pixels(session.model.autoencoder.decode(moved))[0]).all()


@pytest.mark.parametrize("rest", [1.0, 0.35, 0.0])
@pytest.mark.parametrize(
    "edits",
    [
        replace(BOTH.edits, toward=(("3", 0.5),)),
        Edits(),
        Edits(toward=(("9", 0.85),)),
        Edits(move=(("pc1", -2.0),)),
        Edits(dims=((1, 2.5),)),
    ],
    ids=["all", "rest alone", "toward", "move", "dim"],
)
def test_the_command_makes_the_same_picture(session, tmp_path, monkeypatch, edits, rest):
    number = session.draw(Asked(kind="data", split="test", number=5))
    changes = Changes(edits=edits, rest=rest)
    words = shlex.split(session.command(number, changes))
    if not edits and rest == 1:
        assert words == []
        return
    assert words[:3] == ["genrev", "edit", "test-5.png"]
    monkeypatch.chdir(tmp_path)
    Image.fromarray(shown(session, number)[0, 0].numpy()).save("test-5.png")
    assert main([*words[1:], "--out", "made.png", "--device", "cpu"]) == 0
    made = np.asarray(Image.open("made.png")).astype(int)
    assert np.abs(made - session.edited(number, changes)[0].numpy()).max() <= 1
    assert np.abs(made - shown(session, number)[0, 0].numpy()).max() > 20


def test_there_is_no_command_without_an_edit(session):
    number = session.draw(Asked(kind="prior"))
    assert session.command(number, Changes()) == ""


def test_the_saved_code_decodes_to_the_picture(session, folder, tmp_path):
    number = session.draw(Asked(kind="data", split="test", number=5))
    (tmp_path / "code.h5").write_bytes(session.code_file(number, BOTH))
    words = ("decode", tmp_path / "code.h5", "--ckpt", folder / "recon.safetensors", "--out", tmp_path / "images", "--device", "cpu")
    assert main([str(word) for word in words]) == 0
    made = np.asarray(Image.open(tmp_path / "images/test-5.png")).astype(int)
    assert np.abs(made - session.edited(number, BOTH)[0].numpy()).max() <= 1


def test_a_sample_is_that_of_the_sample_command(session, folder, tmp_path):
    number = session.draw(Asked(kind="prior", seed=4, number=2, temperature=0.5))
    words = ("sample", "--ckpt", folder / "recon.safetensors", "-n", 3, "--seed", 4, "--temperature", 0.5, "--out", tmp_path / "s.npz")
    assert main([str(word) for word in words]) == 0
    with np.load(tmp_path / "s.npz") as made:
        images = next(made[name] for name in made.files if made[name].ndim == 4)
    assert np.abs(images[2].reshape(8, 8).astype(int) - shown(session, number)[0, 0].numpy()).max() <= 1
    assert session.summary(number)["trip"] is None


def test_the_map_is_the_plane_of_the_principal_components(session):
    """A point of the plane has a code whose own place on the plane is that point."""
    found = session.maps.wait("pca")
    points = np.array(found["points"])
    assert len(points) == len(session.labels) == session.points == 60
    assert points.var(0)[0] >= points.var(0)[1] > 0
    mean, components = session.maps._plane
    y = session.maps.on_plane(1.5, -0.5)
    assert torch.allclose((y - mean) @ components.T, torch.tensor([[1.5, -0.5]]), atol=1e-5)
    with pytest.raises(UsageError, match="choose pca or tsne"):
        session.maps.ask("umap")


def test_the_other_map_has_a_place_for_each_code(session):
    assert np.isfinite(np.array(session.maps.wait("tsne")["points"])).all()


def test_a_path_goes_from_one_photo_to_the_other(session):
    first, last = Asked(kind="map", number=1), Asked(kind="map", number=40)
    frames = session.path(first, last, path="linear", rest=1.0, frames=5)
    ends = [shown(session, session.draw(one))[0] for one in (first, last)]
    assert (frames[0] == ends[0]).all()
    assert (frames[-1] == ends[1]).all()
    with pytest.raises(UsageError, match="choose linear, spherical, map or flow"):
        session.path(first, last, path="round", rest=1.0, frames=5)
    with pytest.raises(UsageError, match="needs a transport map"):
        session.path(first, last, path="map", rest=1.0, frames=5)


@pytest.fixture(scope="module")
def along_flow(opened, folder):
    """A session whose samples are drawn from a flow."""
    flow = fit_flow(folder / "codes.h5", folder / "flow.safetensors", FitFlowOptions(steps=5, batch=64, width=16, blocks=1)).out
    return Session(opened(model=open_model(folder / "recon.safetensors", torch.device("cpu"), SamplerFile(flow, "flow"))), SILENT)


def test_samples_and_paths_can_follow_a_flow(along_flow):
    about = along_flow.about()
    assert about["paths"] == ["linear", "spherical", "flow"]
    photo = along_flow.photos.get(along_flow.draw(Asked(kind="prior", number=3)))
    assert photo.about == "sample 3 of the flow with seed 0, temperature 1"
    sampler = along_flow.model.prior.sampler
    torch.testing.assert_close(along_flow.prior.select(photo.z), sampler.sample_numbered(0, [3]))
    first, last = Asked(kind="prior", number=1), Asked(kind="prior", number=2)
    frames = along_flow.path(first, last, path="flow", rest=1.0, frames=3)
    ends = [shown(along_flow, along_flow.draw(one))[0] for one in (first, last)]
    assert (frames[0].int() - ends[0].int()).abs().max() <= 1
    assert (frames[-1].int() - ends[1].int()).abs().max() <= 1


def test_a_flow_of_classes_offers_no_path(opened, folder):
    options = FitFlowOptions(steps=1, batch=64, width=16, blocks=1, per_class=True)
    flow = fit_flow(folder / "codes.h5", folder / "classes.safetensors", options).out
    model = open_model(folder / "recon.safetensors", torch.device("cpu"), SamplerFile(flow, "flow"))
    assert Session(opened(model=model), SILENT).about()["paths"] == ["linear", "spherical"]


def test_without_data_the_map_has_samples(opened):
    session = Session(opened(data=None, directions=None, points=20), SILENT)
    assert session.about()["splits"] == {}
    assert len(session.maps.wait("pca")["points"]) == 20
    number = session.draw(Asked(kind="map", number=7))
    assert session.photos.get(number).name == "sample-0-7.png"
    with pytest.raises(UsageError, match="start genrev explore with --data"):
        session.draw(Asked(kind="data"))


def test_only_the_newest_photos_are_kept(session, monkeypatch):
    monkeypatch.setattr(photos, "MOST_OPEN", 2)
    kept = photos.Photos()
    numbers = [kept.add(session.photos.get(session.draw(Asked(kind="prior")))) for _ in range(3)]
    with pytest.raises(UsageError, match="open it again"):
        kept.get(numbers[0])
    assert kept.get(numbers[1])


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        (Asked(kind="data", split="test", number=10**6), "split 'test' has images 0 to"),
        (Asked(kind="map", number=60), "the map has points 0 to 59"),
        (Asked(kind="prior", label=3), "class 3 does not exist"),
    ],
)
def test_what_does_not_exist_is_said(session, asked, complaint):
    with pytest.raises(UsageError, match=complaint):
        session.draw(asked)


def test_no_edit_makes_the_server_look_for_a_file(session, tmp_path):
    number = session.draw(Asked(kind="prior"))
    (tmp_path / "there").touch()
    for word in (str(tmp_path / "there"), "/no/file", "./3"):
        with pytest.raises(UsageError, match="the mean of a class"):
            session.edited(number, Changes(edits=Edits(toward=((word, 1.0),))))


def test_unknown_directions_dimensions_and_damaged_pictures_are_said(session):
    number = session.draw(Asked(kind="prior"))
    with pytest.raises(UsageError, match="has no direction 'smile'"):
        session.edited(number, Changes(edits=Edits(move=(("smile", 1.0),))))
    with pytest.raises(UsageError, match="active dimensions 0 to 3"):
        session.edited(number, Changes(edits=Edits(dims=((4, 1.0),))))
    with pytest.raises(UsageError, match=r"me.png: not a usable picture"):
        session.upload(b"no picture", "me.png")


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ({"move": {"7": "2"}}, "move: must be a number"),
        ({"move": {"7": float("nan")}}, "move: must be a number"),
        ({"move": {"7": True}}, "move: must be a number"),
        ({"move": [1]}, "move: must be an object"),
        ({"dims": {"x": 1}}, "dims: keys must be numbers"),
        ({"dims": {"1": 1e9}}, "dims: must be a number from -100 to 100"),
        ({"rest": 2}, "rest: must be a number from 0 to 1"),
        ({"like": ["/etc/passwd"]}, "unknown key 'like'"),
        ([], "an object is needed"),
    ],
)
def test_wrong_changes_are_refused(table, complaint):
    with pytest.raises(UsageError, match=complaint):
        changes_of(table)


@pytest.mark.parametrize(
    "table", [{"kind": "file"}, {"kind": "data", "split": "../x"}, {"kind": "map", "number": 1.5}, {"kind": "map", "path": "/"}]
)
def test_wrong_requests_are_refused(table):
    with pytest.raises(UsageError):
        asked_of(table)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("me.jpg", "me.jpg"),
        ("../../etc/passwd", "passwd"),
        ("C:\\me.jpg", "me.jpg"),
        ("a\n\x1b[31m.png", "a[31m.png"),
        ("..", "photo.png"),
        ("", "photo.png"),
    ],
)
def test_names_of_files_are_plain(given, name):
    assert file_name(given) == name


def opened_run(result, images, **others):
    """A session of what a training stage has just made."""
    model = load_checkpoint(result.out, torch.device("cpu"))
    return Session(Opened(model=model, device=torch.device("cpu"), data=open_images(images), points=3, **others), SILENT)


def test_a_prior_with_classes_and_no_rest(transport, data, tmp_path):
    """Every dimension is active: nothing is left for the slider of the rest, and classes of the prior can be drawn and gone to."""
    session = opened_run(transport(tmp_path / "ot.safetensors", steps=2), data)
    about = session.about()
    assert (about["active"], about["targets"], about["prior_classes"]) == (64, ["0"], 1)
    number = session.draw(Asked(kind="prior", label=0))
    mean = session.prior.given(0).moments()[0]
    there = session.latent(number, Changes(edits=Edits(toward=(("0", 1.0),))))
    assert torch.allclose(session.prior.select(there)[0], mean, atol=1e-5)


def test_a_network_without_an_exact_inverse(variational, data, tmp_path):
    session = opened_run(variational(tmp_path / "vae.safetensors", steps=2), data)
    assert session.about()["exact"] is False
    number = session.draw(Asked(kind="data", number=1))
    assert session.summary(number)["trip"]["wrong"] > 0
    moved = session.edited(number, Changes(edits=Edits(dims=((0, 2.0),))))
    assert moved.shape == (1, 8, 8)


def test_colours(recon, write_images, tmp_path):
    images = write_images(tmp_path / "colours.h5", shape=(3, 8, 8))
    session = opened_run(recon(tmp_path / "c.safetensors", data=images, steps=2), images)
    number = session.draw(Asked(kind="data", number=1))
    answer = frame({}, session.photos.get(number).pixels)
    length = int.from_bytes(answer.body[:4], "big")
    pixels = np.frombuffer(answer.body[4 + length :], np.uint8).reshape(json.loads(answer.body[4 : 4 + length])["pictures"])
    assert (pixels[0] == open_images(images).read(open_images(images).rows("test")[[1]])[0].transpose(1, 2, 0)).all()


def test_a_path_along_the_transport_map(folder, opened, coarse_maps):
    """Both ends are codes that the map was fitted to, and the pictures between them are others."""
    ot = folder / "ot.safetensors"
    assert main(["fit-ot", str(folder / "codes.h5"), "--out", str(ot), "--target-error", "0.6", "--device", "cpu"]) == 0
    model = open_model(folder / "recon.safetensors", torch.device("cpu"), SamplerFile(ot, "ot"))
    session = Session(opened(model=model), SILENT)
    assert "map" in session.about()["paths"]
    frames = session.path(Asked(kind="map", number=1), Asked(kind="map", number=40), path="map", rest=1.0, frames=5)
    with h5py.File(folder / "codes.h5") as file:
        codes = torch.from_numpy(file["codes"][:])
    images = to_pixels(model.autoencoder.decode(model.own_prior.embed(codes))).int()
    for end in (0, -1):
        assert (images - frames[end].int()).abs().flatten(1).amax(1).min() <= 1
    assert (frames[1:] != frames[:-1]).flatten(1).any(1).all()
    assert "sample 2 of the transport map with seed 0" in session.summary(session.draw(Asked(kind="prior", number=2)))["about"]
