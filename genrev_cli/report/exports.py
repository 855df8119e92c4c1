"""The table of a comparison for other programs: CSV with full precision, and LaTeX with the rounded numbers of the page."""

import csv
import io
import re

from genrev_cli.report.comparison import Comparison, as_json, notes, table
from genrev_cli.report.scores import Cell, Column

_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "−": "$-$", "–": "--", "±": r"$\pm$", "↓": r"$\downarrow$", "↑": r"$\uparrow$", "×": r"$\times$", "|": r"\textbar{}",
}  # fmt: skip
_POWER = re.compile("(·?)10([⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+)")
_LOWERED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_MARK = "\0"


def as_csv(comparison: Comparison) -> str:
    """Return the rows of `as_json` as CSV (RFC 4180), the best first; a value that a row lacks is empty."""
    rows = as_json(comparison)
    columns = dict.fromkeys(name for row in sorted(rows, key=len, reverse=True) for name in row)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def as_latex(comparison: Comparison) -> str:
    """Return the table of the page as a LaTeX table, which needs the package booktabs."""
    drawn = table(comparison)
    layout = "".join("r" if column.numeric else "l" for column in drawn.columns)
    lines = [" & ".join(map(_head, drawn.columns))]
    lines += [" & ".join([_escaped(name), *map(_cell, cells)]) for name, _, cells in drawn.rows]
    head, *body = (rf"    {line} \\" for line in lines)
    caption = "; ".join(f"{name.lower()}: {text}" for name, text in comparison.conditions.items())
    return "\n".join([
        "% needs \\usepackage{booktabs}", r"\begin{table}", r"  \centering", rf"  \begin{{tabular}}{{{layout}}}",
        r"    \toprule", head, r"    \midrule", *body, r"    \bottomrule", r"  \end{tabular}",
        rf"  \caption{{{_escaped(notes(comparison))} Measured on: {_escaped(caption)}.}}", r"\end{table}", "",
    ])  # fmt: skip


def _head(column: Column) -> str:
    return _escaped(f"{column.title} {column.beside}".strip())


def _cell(cell: Cell) -> str:
    text = _escaped(cell.text)
    return " ".join(filter(None, [rf"\textbf{{{text}}}" if cell.best else text, _escaped(cell.beside)]))


def _escaped(text: str) -> str:
    """Return text as LaTeX: special characters are escaped, powers of ten and signs become mathematics."""
    powers = [("$\\cdot " if dot else "$") + f"10^{{{digits.translate(_LOWERED)}}}$" for dot, digits in _POWER.findall(text)]
    escaped = "".join(_SPECIAL.get(letter, letter) for letter in _POWER.sub(_MARK, text))
    for power in powers:
        escaped = escaped.replace(_MARK, power, 1)
    return escaped
