"""Benchmarks of networks: the published layers and genrev's are the same network, and saved memory is counted correctly."""

import pickle
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from genrev_cli.bench import batches_loading, inn_step, revnet_step, run, sample_images, training_step
from genrev_cli.bench.published_revnet import CheckerboardSqueeze, PublishedRevNet
from genrev_cli.bench.saved import saved_bytes
from genrev_cli.bench.training_step import CHECKPOINT, MODES, PLAIN, REVERSIBLE, Network, deviation, gradients, own_networks, require_equal
from genrev_cli.errors import FileError
from genrev_cli.models.revnet import RevNet, Scale
from genrev_cli.settings.bench import BenchOptions

CPU = torch.device("cpu")
TIMES = {"variant", "seconds", "ratio", "ratio_min", "ratio_max", "ratio_cpu", "ratio_cpu_min", "ratio_cpu_max", "target", "error"}


def options(*only, **others):
    return BenchOptions(only=only, **{"rounds": 1, "threads": 1, "device": "cpu", "quick": True, "bf16": True, **others})


@pytest.fixture
def one_process(monkeypatch):
    """Replace peak measurements in other processes; tests of the harness cover them."""
    monkeypatch.setattr(training_step, "extra_peak_mb", lambda *_, device: 7.0)


def revnet(scales, seed=0):
    model = RevNet((3, 16, 16), scales).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return model, torch.rand(2, 3, 16, 16, generator=generator, dtype=torch.float64)


SCALES = [
    (Scale(2, 5),),
    (Scale(1, 4), Scale(0, 1), Scale(3, 6, 1)),
    (Scale(1, 3), Scale(2, 3), Scale(1, 3), Scale(1, 3, 1)),
]


@pytest.mark.parametrize("scales", SCALES)
def test_the_published_layers_are_the_same_network(scales):
    model, x = revnet(scales)
    port = PublishedRevNet(model)
    z = model.encode(x)
    torch.testing.assert_close(port.encode(x), z, rtol=1e-10, atol=1e-10)
    cut = torch.where(torch.arange(z.shape[1]) < 9, z, 0).detach()
    torch.testing.assert_close(port.decode(cut), model.decode(cut), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(port.decode(port.encode(x)), x, rtol=1e-10, atol=1e-10)


def test_the_published_squeeze_splits_each_half_as_a_checkerboard():
    x = torch.arange(16.0).view(1, 1, 4, 4)
    expected = torch.tensor([[[0, 2], [8, 10]], [[5, 7], [13, 15]], [[1, 3], [9, 11]], [[4, 6], [12, 14]]]).float()
    assert torch.equal(CheckerboardSqueeze(1)(x)[0], expected)
    both = torch.cat([x, -x], dim=1)
    assert torch.equal(CheckerboardSqueeze(2)(both)[0], torch.cat([expected, -expected]))
    assert torch.equal(CheckerboardSqueeze(2).inverse(CheckerboardSqueeze(2)(both)), both)


@pytest.mark.parametrize("make", [revnet_step.make, inn_step.make])
def test_every_network_has_the_same_gradient(make):
    problem, networks = make(3, True, CPU)
    for parameter in problem.parameters:
        parameter.data = parameter.data.double()
    problem = training_step.Problem(problem.x.double(), problem.restrict, problem.loss, problem.parameters)
    reference = gradients(problem, networks[PLAIN])
    assert all(gradient.abs().max() > 0 for gradient in reference)
    peers = {"FrEIA SequenceINN", "memcnn"}  # have float32 in their code
    same = [name for name, network in networks.items() if not network.bf16 and name not in peers]
    assert set(MODES) <= set(same)
    for name in same:
        assert deviation(gradients(problem, networks[name]), reference) < 1e-9, name


@pytest.mark.parametrize("make", [revnet_step.make, inn_step.make])
def test_another_process_can_run_each_step(make):
    assert pickle.loads(pickle.dumps(make)) is make
    _, networks = make(1, True, CPU)
    for name in networks:
        training_step._prepared(make, name, 2, True, 1, "cpu")()


@pytest.mark.parametrize(
    ("make", "module", "name"), [(revnet_step.make, "memcnn", "memcnn"), (inn_step.make, "FrEIA", "FrEIA SequenceINN")]
)
def test_the_peers_are_the_same_networks(make, module, name):
    pytest.importorskip(module, reason="needs a tool of the extra 'bench'")
    problem, networks = make(3, True, CPU)
    require_equal(problem, networks)
    assert deviation(gradients(problem, networks[name]), gradients(problem, networks[PLAIN])) < 1e-5


def test_another_network_is_refused():
    problem, networks = revnet_step.make(2, True, CPU)
    require_equal(problem, networks)
    ours = networks[PLAIN]
    for wrong in (Network(lambda x: 1.1 * ours.encode(x), ours.decode), Network(ours.encode, lambda z: ours.decode(-z))):
        with pytest.raises(AssertionError, match="wrong and published layers are not the same network"):
            require_equal(problem, {**networks, "wrong": wrong})


def test_networks_share_parameters_but_not_the_memory_mode():
    model, _ = revnet(SCALES[1])
    other = training_step.sharing(model, "reversible")
    assert [id(p) for p in other.parameters()] == [id(p) for p in model.parameters()]
    assert (model.memory, other.memory) == ("plain", "reversible")


def test_deviation():
    a, b = [torch.tensor([3.0, 0.0]), torch.tensor([[4.0]])], [torch.tensor([3.0, 0.0]), torch.tensor([[1.0]])]
    assert deviation(a, b) == pytest.approx(3 / 10**0.5)
    assert deviation(b, b) == 0


def test_saved_bytes_of_known_operations():
    x, w = torch.ones(10, requires_grad=True), torch.ones(10, requires_grad=True)
    assert saved_bytes(lambda: x.exp(), [x, w]) == 40  # its result
    assert saved_bytes(lambda: x * w, [x, w]) == 0
    assert saved_bytes(lambda: x * w, [w]) == 40
    assert saved_bytes(lambda: (x * x)[:3] + x[:3].cos(), []) == 40  # one storage, whatever looks into it
    assert saved_bytes(lambda: x.exp().exp().exp(), [x]) == 120
    with torch.no_grad():
        assert saved_bytes(lambda: x.exp(), []) == 0


def test_saved_memory_grows_with_depth_except_for_reversible():
    one, two, three = (revnet_step.saved_by_depth(blocks, True) for blocks in (1, 2, 3))
    assert one[REVERSIBLE] == two[REVERSIBLE] == three[REVERSIBLE] > 0
    for name in ("published layers", PLAIN, CHECKPOINT):
        assert three[name] - two[name] == pytest.approx(two[name] - one[name], rel=1e-9)
        assert two[name] > 1.2 * one[name]
    assert three[REVERSIBLE] < three[PLAIN] < three["published layers"]


@pytest.mark.parametrize("name", [PLAIN, CHECKPOINT, REVERSIBLE])
def test_saved_memory_is_the_same_on_the_device_meta(name):
    model = revnet_step.celeba_revnet(True)
    problem = revnet_step._problem(model, torch.rand(2, *model.image_shape))
    network = own_networks(model, None, None)[name]
    found = saved_bytes(lambda: training_step.loss_of(problem, network), problem.parameters) / 1e3 / 2
    assert found == revnet_step.saved_by_depth(1, True)[name]


@pytest.mark.parametrize(("name", "peer"), [("inn", "FrEIA"), ("revnet", "memcnn")])
def test_a_missing_peer_is_named(tmp_path, monkeypatch, one_process, name, peer):
    monkeypatch.setitem(sys.modules, peer, None)
    table, _ = run.bench(name, tmp_path / "b.json", options("step")).numbers["tables"]
    assert not [row for row in table["rows"] if peer in row["variant"]]
    assert [note for note in table["notes"] if f"{peer} left out" in note and f"pip install {peer}" in note]


@pytest.mark.parametrize("name", ["inn", "revnet"])
def test_the_step_section(tmp_path, one_process, name):
    step, memory = run.bench(name, tmp_path / "b.json", options("step", batch=3)).numbers["tables"]
    own = {row["variant"]: row for row in step["rows"] if row["variant"].startswith("genrev")}
    assert list(own) == [PLAIN, "genrev bf16", REVERSIBLE, CHECKPOINT]
    for row in step["rows"]:
        assert set(row) == TIMES | {"saved_kb", "extra_peak_mb"}
        assert row["error"] < (0.05 if "bf16" in row["variant"] else 1e-4)
        assert row["extra_peak_mb"] == 7
        assert (row["saved_kb"] is None) == (row["variant"] == "memcnn")
    assert own[REVERSIBLE]["saved_kb"] < own[PLAIN]["saved_kb"]
    assert [row["variant"] for row in memory["rows"]] == list(MODES)
    assert memory["rows"][1]["target"] == pytest.approx(1 / 1.33)
    assert memory["rows"][0]["ratio"] == 1
    assert any("3 images" in note for note in step["notes"])


def test_bf16_is_left_out_where_it_is_emulated(tmp_path, monkeypatch, one_process):
    for module in (training_step, sample_images):
        monkeypatch.setattr(module, "has_bf16", lambda device: False)
    for name, section in (("revnet", "step"), ("sample", "sampling")):
        table = run.bench(name, tmp_path / "b.json", options(section, bf16=False)).numbers["tables"][0]
        assert not [row for row in table["rows"] if "bf16" in row["variant"]]
        assert any(note.startswith("bf16 left out") for note in table["notes"])


def test_the_depth_section(tmp_path):
    (table,) = run.bench("revnet", tmp_path / "b.json", options("depth")).numbers["tables"]
    rows = {row["variant"]: row for row in table["rows"]}
    assert rows[REVERSIBLE]["saved_kb_2_blocks"] == rows[REVERSIBLE]["saved_kb_4_blocks"]
    assert rows[REVERSIBLE]["target_kb"] == 250
    assert "target_kb" not in rows[PLAIN]


def test_sampling(tmp_path):
    (table,) = run.bench("sample", tmp_path / "b.json", options("sampling")).numbers["tables"]
    assert [row["variant"] for row in table["rows"]] == ["published layers", PLAIN, "genrev bf16"]
    for row in table["rows"]:
        assert set(row) == TIMES | {"images_per_second"}
        assert row["images_per_second"] == pytest.approx(6 / row["seconds"])


def test_writing(tmp_path):
    (table,) = run.bench("sample", tmp_path / "b.json", options("writing")).numbers["tables"]
    assert [row["variant"] for row in table["rows"]] == ["Pillow, one file after another", "genrev, to the disk"]
    assert [row["error"] for row in table["rows"]] == [0, 0], "the files differ"


@pytest.mark.parametrize(("n", "batch"), [(5, 2), (4, 4), (3, 8)])
def test_both_sides_sample_the_same_images(n, batch):
    model = revnet_step.drawn(revnet_step.celeba_revnet(True))
    prior = sample_images.build_prior({"name": "active-gaussian", "dim": 64, "latent_dim": model.latent_dim})
    ours = sample_images.own(model, prior, n, batch, device=CPU, bf16=False)()
    theirs = sample_images.published(PublishedRevNet(model), prior, n, batch, device=CPU)()
    assert ours.shape == theirs.shape == (n, 3, 16, 16)
    assert (ours.int() - theirs.int()).abs().max() <= 1
    assert len(ours.unique()) > 20


def test_loading_generated_images(tmp_path):
    (table,) = run.bench("batches", tmp_path / "b.json", options()).numbers["tables"]
    theirs, ours = table["rows"]
    assert set(ours) == TIMES | {"images_per_second"}
    assert ours["error"] < 1e-3
    assert ours["target"] == 20
    assert theirs["images_per_second"] == pytest.approx(32 / theirs["seconds"])


def test_loading_a_folder_reads_the_same_pixels(tmp_path):
    rng = np.random.default_rng(0)
    folder = tmp_path / "photos"
    for number in range(19):
        path = folder / f"class {number % 2}" / f"{number}.PNG"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)
    (folder / "notes.txt").write_text("no image")
    (table,) = run.bench("batches", tmp_path / "b.json", options(path=folder)).numbers["tables"]
    assert table["title"].startswith("epochs of 16 images in batches of 8")  # whole batches
    assert table["rows"][1]["error"] < 1e-6
    assert sorted(folder.rglob("*.PNG"))[-1].is_file()


def test_a_folder_without_enough_images_is_refused(tmp_path):
    with pytest.raises(FileError, match="fewer than 8 images"):
        run.bench("batches", tmp_path / "b.json", options(path=tmp_path))


def test_links_are_numbered_in_the_order_of_the_names(tmp_path):
    source, target = tmp_path / "a", tmp_path / "b"
    source.mkdir()
    target.mkdir()
    for name in ("z.png", "a.jpg", "m.jpeg", "b.txt"):
        (source / name).touch()
    assert batches_loading.link_images(source, target, 100, 3) == 3
    assert [(path.name, path.resolve().name) for path in sorted(target.iterdir())] == [
        ("000000.jpg", "a.jpg"), ("000001.jpeg", "m.jpeg"), ("000002.png", "z.png"),
    ]  # fmt: skip
