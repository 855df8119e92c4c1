"""genrev probe"""

from pathlib import Path

from genrev_cli.cli import options
from genrev_cli.cli.bars import listener
from genrev_cli.cli.generate import Group, One, add_command, out_option
from genrev_cli.result import Result
from genrev_cli.settings.probe import ProbeSettings


def _probe(codes: Path, out: Path | None, settings: ProbeSettings) -> Result:
    from genrev_cli.stages.probe import probe

    return probe(codes, out or codes.with_name(f"{codes.name}.probe.json"), settings, progress=listener())


add_command(
    "probe",
    "Measure how much codes know: the accuracy of nearest neighbours and of a linear classifier that learn the classes from a few labels.",
    example="genrev probe codes.h5 --labels 10,100,1000,0",
    parts={
        "codes": One("codes", options.Codes),
        "out": out_option(None, "Result to write (.json); default: CODES.probe.json."),
        "settings": Group(ProbeSettings),
    },
    run=_probe,
)
