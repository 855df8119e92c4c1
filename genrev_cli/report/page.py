"""The template filled in. Jinja escapes whatever comes from files; scripts and every network access are off by the page's own policy."""

import datetime

from jinja2 import Environment, PackageLoader, StrictUndefined

from genrev_cli.files.page import SLOT
from genrev_cli.report import curves, sections, summary
from genrev_cli.report.material import Material
from genrev_cli.report.pictures import figures


def render(material: Material, title: str = "") -> str:
    """The page, with the empty `SLOT` where its header goes. title: '' names model and data."""
    environment = Environment(
        loader=PackageLoader("genrev_cli.report", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    today = datetime.datetime.now(datetime.UTC)
    steps, machines = sections.chain(material)
    return environment.get_template("page.html").render(
        title=title or summary.headline(material),
        date=f"{today.day} {today:%B %Y}",
        cards=summary.cards(material),
        data=summary.data_facts(material.data) if material.data else [],
        model=summary.model_facts(material, material.main) if material.main else [],
        figures=figures(material),
        curves=sections.curves(material),
        scores=sections.score_table(material.scores),
        settings=sections.settings(material),
        steps=steps,
        machines=machines,
        files=[(record.path.name, record.header.kind) for record in material.given],
        drawing=curves,
        numeric=("Value", *sections.COUNTS.values()),
        slot=SLOT,
    )
