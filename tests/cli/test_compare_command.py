"""genrev compare, as a user types it."""

import pytest


def test_json_is_the_table(chain, run_json):
    result = run_json(
        "compare", chain / "recon.safetensors", f"adv={chain / 'adversarial.safetensors'}", "--out", chain / "compare.html",
        "--features", "pixel", "-n", 80, "--metrics", "kid, recon", "--device", "cpu",
    )  # fmt: skip
    assert result["out"] == str(chain / "compare.html")
    assert {row["model"]: row["steps"] for row in result["tables"][0]["rows"]} == {"recon": 6, "adv": 12}
    assert result["conditions"]["n"] == 80
    assert {"KD-pixel", "L1"} <= result["checkpoints"][0].keys()


def test_stdout_is_the_path_and_stderr_the_table(chain, run):
    page = chain / "again.html"
    words = (chain / "recon.safetensors", chain / "adversarial.safetensors", "--out", page, "--features", "pixel", "-n", 80)
    code, out, err = run("compare", *words, "--ref", chain / "digits.h5", "--split", "train", "--metrics", "fid", "--title", "Two")
    assert (code, out) == (0, f"{page}\n")
    assert "FD-pixel" in err
    assert "adversarial" in err
    assert "<h1>Two</h1>" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(("words", "code"), [(("recon.safetensors",), 2), (("recon.safetensors", "digits.h5"), 3), (("a", "b"), 3)])
def test_wrong_use_is_one_sentence(chain, run, words, code):
    found, out, err = run("compare", *(chain / word for word in words), "--out", chain / "none.html", "--features", "pixel")
    assert (found, out) == (code, "")
    assert err.count("\n") == 1
