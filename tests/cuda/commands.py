"""The commands that run on the emulated device: those that processes share, and what is not among them."""

import tomllib
from importlib.resources import files

from process_cases import CHAIN, TRAINING, Case, inputs

STEPS = 5
LOOK_NEVER = f"--log-every 100 --steps {STEPS}"  # but after the last step

TINY = "{i}/tiny.toml"
RECON = "pretrain-recon --data {i}/data.h5 --recipe {i}/tiny.toml"
GAN = "train-gan --ckpt {i}/start.safetensors --ot {i}/map.safetensors --recipe {i}/tiny.toml"
FLOW = "fit-flow {i}/start.h5 --width 16 --blocks 1"
ADVERSARIAL = "train-adversarial --ckpt {i}/start.safetensors --recipe {i}/tiny.toml"


def _trains(line, name):
    return Case(f"{line} {TRAINING}", f"{name}.safetensors", trains=True)


TRAINING_CASES = {
    **{name: case for name, case in CHAIN.items() if case.trains and name != "fit-ot"},
    "recon-streamed": _trains(f"{RECON} --resident-megabytes 0", "recon-streamed"),
    "recon-reversible": _trains(f"{RECON} --memory reversible", "recon-reversible"),
    "recon-ema": _trains(f"{RECON} --ema-halflife-images 100", "recon-ema"),
    "recon-channels-last": _trains(f"{RECON} --channels-last on", "recon-channels-last"),
    "adversarial-streamed": _trains(f"{ADVERSARIAL} --resident-megabytes 0", "adversarial-streamed"),
    "adversarial-reversible": _trains(f"{ADVERSARIAL} --memory reversible", "adversarial-reversible"),
    "matching-mmd": _trains(f"{ADVERSARIAL} --matcher mmd", "matching-mmd"),
    "matching-ot": _trains(f"{ADVERSARIAL} --matcher ot", "matching-ot"),
    "lvpga": _trains("train-pga --data {i}/data.h5 --variant lvpga --warm-up 1", "lvpga"),
    "gan-hinge": _trains(f"{GAN} --loss hinge-sn", "gan-hinge"),
    "gan-prior": _trains(f"{ADVERSARIAL.replace('train-adversarial', 'train-gan')}", "gan-prior"),
    "gan-flow": _trains(f"{GAN.replace('--ot {i}/map', '--flow {i}/velocity')}", "gan-flow"),
    "flow-independent": _trains(f"{FLOW} --pairs independent", "flow-independent"),
    "flow-minibatch": _trains(f"{FLOW} --pairs minibatch", "flow-minibatch"),
    "flow-semidiscrete": _trains(f"{FLOW} --ot {{i}}/pairs.safetensors", "flow-semidiscrete"),
    "flow-classes": _trains(f"{FLOW} --pairs independent --per-class", "flow-classes"),
    "flow-classes-minibatch": _trains(f"{FLOW} --pairs minibatch --per-class", "flow-classes-minibatch"),
}
"""name → a training command: those of the processes' chain, and other ways to go."""

MORE_INPUTS = (
    "fit-ot {i}/start.h5 --source gaussian --target-error 0.5 --device cpu --out {i}/pairs.safetensors",
    f"{FLOW} --steps 5 --solver-steps 2 --device cpu --out {{i}}/velocity.safetensors",
)
"""Commands that make what these training cases take besides the inputs of the processes' chain."""


def all_inputs(folder):
    """Return the commands that make the first inputs of every case."""
    return [*inputs(folder), *([word.format(i=folder) for word in line.split()] for line in MORE_INPUTS)]


OTHERS = {
    **{name: case for name, case in CHAIN.items() if not case.trains or name == "fit-ot"},
    "fit-gmm": Case("fit-gmm {i}/start.h5 --components 3", "gmm.safetensors"),
    "sample-gmm": Case("sample --ckpt {i}/start.safetensors --gmm {i}/gmm.safetensors -n 70 --device cpu", "samples-gmm.h5"),
    "sample-class": Case("sample --ckpt {i}/ot.safetensors --class 0,3 -n 70 --device cpu", "samples-class.h5"),
    "sample-flow": Case("sample --ckpt {i}/start.safetensors --flow {i}/velocity.safetensors -n 70 --device cpu", "samples-flow.h5"),
    "sample-flow-class": Case(
        "sample --ckpt {i}/start.safetensors --flow {i}/flow-classes.safetensors --class 0,3 -n 70 --device cpu", "samples-flow-class.h5"),
    "encode-flow": Case("encode --ckpt {i}/start.safetensors --flow {i}/velocity.safetensors --device cpu", "noise.h5"),
    "encode-flow-classes": Case("encode --ckpt {i}/start.safetensors --flow {i}/flow-classes.safetensors --device cpu", "noises.h5"),
    "decode-flow": Case("decode {i}/noise.h5 --ckpt {i}/start.safetensors --device cpu", "decoded-flow.h5"),
    "reconstruct": Case("reconstruct --ckpt {i}/start.safetensors --device cpu", "reconstructions.png"),
    "interpolate": Case("interpolate --ckpt {i}/start.safetensors --device cpu", "interpolations.png"),
    "interpolate-ot": Case("interpolate --ckpt {i}/start.safetensors --ot {i}/map.safetensors --device cpu", "along-map.png"),
    "interpolate-flow": Case("interpolate --ckpt {i}/start.safetensors --flow {i}/velocity.safetensors --device cpu", "along-flow.png"),
    "traverse": Case("traverse --ckpt {i}/start.safetensors --around 0 --device cpu", "traversals.png"),
    "fit-directions": Case("fit-directions {i}/start.h5 --method pca --components 3 --device cpu", "directions.safetensors"),
    "traverse-directions": Case(
        "traverse --ckpt {i}/start.safetensors --directions {i}/directions.safetensors --device cpu", "along-directions.png"),
    "fid-pixel": Case("fid {i}/samples.h5 --ref {i}/data.h5 --features pixel --metrics fid,kid,prdc --device cpu", "pixel.json"),
    "fid-ot": Case(
        "fid --ckpt {i}/start.safetensors --ot {i}/map.safetensors -n 100 --ref {i}/data.h5 --features pixel --device cpu", "fid-ot.json"),
    "fid-flow": Case(
        "fid --ckpt {i}/start.safetensors --flow {i}/velocity.safetensors -n 100 --ref {i}/data.h5 --features pixel --device cpu",
        "fid-flow.json"),
    "fid-ref": Case("fid-ref digits --data {i}/digits.h5 --features pixel --device cpu", "reference.npz"),
    "compare": Case(
        "compare {i}/start.safetensors {i}/start.safetensors+{i}/map.safetensors -n 70 --features pixel --device cpu", "compare.html"),
    "report": Case("report {i}/start.safetensors {i}/samples.h5", "report.html"),
    "card": Case("card {i}/start.safetensors --device cpu", "card"),
    "sweep": Case(
        f"sweep-bottleneck --data {{i}}/data.h5 --recipes {TINY} --dims 2,4 --batch 8 --steps 2 --device cpu", "sweep"),
    "bench": Case("bench sample --quick --rounds 1 --device cpu", "bench.json"),  # the others start processes that emulate nothing
}  # fmt: skip
"""name → a command that trains nothing, in the order in which one makes what another takes."""


def words_on(device, case, inputs, outputs):
    """Return the words of a case on a device; training looks at nothing but after its last step.

    Training keeps one memory order: a CPU would choose another one for invertible networks, which gives other bits.
    """
    words = case.words(inputs, outputs, STEPS)
    if "--device" in words:
        words[words.index("--device") + 1] = device
    if not (case.trains and "--steps" in words):
        return words
    order = [] if "--channels-last" in words or words[0] == "fit-flow" else ["--channels-last", "off"]
    return words + LOOK_NEVER.split() + order


def _recipes():
    """Return every recipe for digits: name → its tables."""
    folder = files("genrev_cli") / "recipes"
    found = sorted((path for path in folder.iterdir() if path.name.endswith("-digits.toml")), key=lambda path: path.name)
    return {path.name.removesuffix(".toml"): tomllib.loads(path.read_text(encoding="utf-8")) for path in found}


DIGITS = _recipes()

BATCH = "--batch 40"


def recipe_commands(name):
    """Return the commands that a recipe for digits is for, in order: (stage, words), where {i} has the data and {o} is for the rest."""
    tables, options = DIGITS[name], f"--device cuda {BATCH} {LOOK_NEVER}"
    warm_up = "--warm-up 1" if tables.get("train-pga", {}).get("warm_up") else ""
    fresh = f"--data {{i}}/data.h5 --recipe {name} {options}"
    lines = [f"{stage} {fresh} --out {{o}}/start.safetensors {warm_up}" for stage in
             ("pretrain-recon", "train-ot", "train-flow", "train-pga", "train-vae") if stage in tables]  # fmt: skip
    if "train-adversarial" in tables:
        lines.append(f"train-adversarial --ckpt {{o}}/start.safetensors {options} --out {{o}}/adversarial.safetensors")
    if "train-gan" in tables and lines:
        lines += [
            "encode --ckpt {o}/start.safetensors --out {o}/start.h5 --device cuda",
            "fit-ot {o}/start.h5 --target-error 0.5 --neighbours 3 --out {o}/map.safetensors --device cuda",
            f"train-gan --ckpt {{o}}/start.safetensors --ot {{o}}/map.safetensors {options} --out {{o}}/gan.safetensors",
        ]
    elif "train-gan" in tables:
        lines.append(f"train-gan {fresh} --out {{o}}/gan.safetensors")
    return lines
