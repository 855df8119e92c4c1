"""Fill the page templates. Jinja escapes all text from files, and the page's security policy forbids scripts and network access."""

import datetime
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from genrev_cli.files.page import SLOT
from genrev_cli.report import clouds, curves, sections, summary
from genrev_cli.report.material import Material
from genrev_cli.report.pictures import figures
from genrev_cli.report.scores import score_table


def fill(template: str, **values: Any) -> str:
    """Return a page from a template of this folder, with an empty `SLOT` for its header."""
    environment = Environment(
        loader=PackageLoader("genrev_cli.report", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    today = datetime.datetime.now(datetime.UTC)
    return environment.get_template(template).render(date=f"{today.day} {today:%B %Y}", drawing=curves, slot=SLOT, **values)


def render(material: Material, title: str = "") -> str:
    """Return the report. title: '' gives the names of model and data."""
    steps, machines = sections.chain(material)
    return fill(
        "page.html",
        command="report",
        title=title or summary.headline(material),
        blocks=summary.blocks(material),
        data=summary.data_facts(material.data) if material.data else [],
        models=summary.models(material),
        figures=figures(material),
        codes=[clouds.figure(codes) for codes in material.codes],
        side=clouds.SIDE,
        curves=sections.curves(material),
        scores=score_table(material.scores),
        settings=sections.settings(material),
        steps=steps,
        machines=machines,
        made_from="the headers of",
        files=[(record.path.name, record.header.kind) for record in material.given],
    )
