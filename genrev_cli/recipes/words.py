"""Numbers in a few characters."""


def count(number: float | None) -> str:
    """Return a number of parameters in at most 6 characters: '44.1 k', '4.2 M'; '' for None."""
    for unit, mark in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number is not None and number >= 0.9995 * unit:
            return f"{number / unit:.3g}{mark}"
    return "" if number is None else f"{number:.0f}"


def span(hours: float) -> str:
    """Return a time in at most 6 characters: '45 s', '12 min', '3.1 h', '12 d'."""
    seconds = 3600 * hours
    for least, unit, mark in ((172_800, 86_400, "d"), (5400, 3600, "h"), (90, 60, "min")):
        if seconds >= least:
            return f"{seconds / unit:.2g} {mark}" if seconds < 10 * unit else f"{seconds / unit:.0f} {mark}"
    return f"{seconds:.0f} s"
