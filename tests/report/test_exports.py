"""The table of a comparison as CSV and LaTeX."""

import csv
import io
import re

from test_comparison import comparison

from genrev_cli.report.exports import as_csv, as_latex

ROWS = {"a_b & 50%": [{"FID": 5.0, "L1": 3.2e-8}], "b": [{"FID": 1.0, "L1": 0.2}, {"FID": 3.0, "L1": 0.4}]}


def test_csv_has_every_value_with_full_precision():
    best, other = csv.DictReader(io.StringIO(as_csv(comparison(ROWS))))
    assert (best["model"], best["codes_from"], float(best["FID"]), float(best["FID_std"]), best["k"]) == ("b", "prior", 2.0, 2**0.5, "2")
    assert (other["model"], float(other["L1"]), other["FID_std"], other["parameters"]) == ("a_b & 50%", 3.2e-8, "", "1234")


def test_latex_escapes_marks_the_best_and_has_as_many_cells_as_columns():
    text = as_latex(comparison(ROWS))
    columns = len(re.search(r"begin{tabular}{([lr]+)}", text)[1])
    lines = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert [len(re.findall(r"(?<!\\)&", line)) + 1 for line in lines] == [columns] * 3
    assert lines[1].startswith(r"    b & prior & \textbf{2.000} $\pm$ 1.4 & 0.3000 $\pm$ 0.14")
    assert lines[2].startswith(r"    a\_b \& 50\% & prior & 5.000 & \textbf{3.2$\cdot 10^{-8}$}")
    assert lines[0].count(r"$\downarrow$") == 2
    assert not set("−·⁻⁸±↓–") & set(text)
    assert text.count("{") == text.count("}")
