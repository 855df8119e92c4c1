"""genrev train-adversarial"""

from pathlib import Path
from typing import Annotated

import typer

from genrev_cli.cli import app, options
from genrev_cli.cli.console import listener, report

LrAdversary = options.Overrides(float, "--lr-adversary", "Learning rate of the adversary.", options.TRAINING)
Matcher = options.Overrides(
    str, "--matcher", "adversary, or a distance between codes and prior in its place: mmd, sliced, ot.", options.METHOD
)
WeightMatch = options.Overrides(float, "--weight-match", "Weight of that distance.", options.METHOD)
PriorSamples = options.Overrides(int, "--prior-samples", "Prior samples per update of the adversary.", options.METHOD)
Out = Annotated[
    Path | None,
    typer.Option("--out", help="Checkpoint to write; default: adversarial.safetensors beside --ckpt.", rich_help_panel=options.FILES),
]


@app.command("train-adversarial", rich_help_panel="Train", epilog="$ genrev train-adversarial --ckpt recon.safetensors")
@options.expanded
def train_adversarial(
    ckpt: options.Ckpt,
    training: options.Training,
    evaluation: options.Evaluation,
    data: options.CkptData = None,
    out: Out = None,
    recipe: options.Recipe = "",
    lr: options.Lr = None,
    lr_adversary: LrAdversary = None,
    weight_x: options.WeightX = None,
    weight_z: options.WeightZ = None,
    matcher: Matcher = None,
    weight_match: WeightMatch = None,
    prior_samples: PriorSamples = None,
    json: options.Json = False,
) -> None:
    """Train a pretrained network against an adversary, or a distance in its place, so that its codes follow the prior.

    Without --recipe, the checkpoint's own is used. Run again, it goes on where it stopped.
    """
    from genrev_cli.stages.train_adversarial import STAGE, train_adversarial

    method = options.given(
        lr=lr, lr_adversary=lr_adversary, weight_x=weight_x, weight_z=weight_z, matcher=matcher, weight_match=weight_match,
        prior_samples=prior_samples,
    )  # fmt: skip
    target, overrides = out or ckpt.with_name("adversarial.safetensors"), {STAGE: training.schedule() | method}
    result = train_adversarial(
        ckpt, target, data=data, recipe=recipe, overrides=overrides, run=training.run(evaluation), progress=listener()
    )  # fmt: skip
    report(result, as_json=json)
