"""A prior without width, as of images that are nearly equal: a training measures what can be measured, and goes on."""

from genrev_cli.methods import transport as module
from genrev_cli.runs.resume import run_folder
from genrev_cli.training.log import read_log


def test_a_prior_without_width_does_not_stop_a_training(tmp_path, transport, monkeypatch):
    fit = module.fit_prior

    def narrow(autoencoder, prior, passes):
        fit(autoencoder, prior, passes)
        prior.std.data.fill_(1e-44)

    monkeypatch.setattr(module, "fit_prior", narrow)
    out = tmp_path / "out.safetensors"
    numbers = transport(out, steps=1, lr=1e-30).numbers
    assert "l1_restricted" in numbers
    assert "relative_swd" not in numbers
    assert any(line["kind"] == "monitor" for line in read_log(run_folder(out) / "log.jsonl"))
