"""The rows of docs/obtained.md, and what the papers publish, from rows.toml."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import resources
from itertools import combinations
from typing import Any

from genrev_cli.config import recipe_names


@dataclass(frozen=True, kw_only=True)
class Method:
    """A line of [methods]; rows.toml explains the fields."""

    key: str
    title: str
    data: tuple[str, ...]
    train: tuple[str, ...]
    codes: str = "prior"
    samples: bool = True
    encodes: bool = True
    bits: bool = False
    warm_up: str = ""

    @property
    def has_sizes(self) -> bool:
        """Return True if --size-of-model applies; a built-in recipe has a network of one size."""
        return not set(self.train[0].split()) & set(recipe_names())

    def of_size(self, size: str) -> "Method":
        """Return the same row with networks of a size; later commands go on with the first one's."""
        return replace(self, train=(f"{self.train[0]} --size-of-model {size}", *self.train[1:]))


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """A line of [data]; rows.toml explains the fields. like: '' for a data set of the papers."""

    key: str
    title: str
    prepare: str
    classes: bool
    like: str = ""

    @property
    def published(self) -> str:
        """The data set whose rows and published numbers apply."""
        return self.like or self.key


@dataclass(frozen=True, kw_only=True)
class Published:
    """A column of a published table. values: method → number; lower is better. spread: method → what is printed after ±.

    samples: number of samples, 0 if not given. features: the network of the distance.
    """

    source: str
    data: str
    measure: str
    samples: int
    features: str
    values: dict[str, float]
    spread: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One method is better than another. measure: distance, or a metric. text: what to expect of `better`; '' if a table has numbers."""

    source: str
    data: str
    measure: str
    better: str
    worse: str
    text: str = ""


@dataclass(frozen=True)
class Cut:
    """A row that is not run unless it is named, and why."""

    method: str
    data: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Contents:
    """All of rows.toml."""

    methods: dict[str, Method]
    data: dict[str, DataSet]
    tables: tuple[Published, ...]
    claims: tuple[Claim, ...]
    cut: tuple[Cut, ...]

    def of_size(self, size: str) -> "Contents":
        """Return the rows with networks of a size ('': those of the recipes). Then none is cut."""
        if not size:
            return self
        return replace(self, methods={key: method.of_size(size) for key, method in self.methods.items() if method.has_sizes}, cut=())

    def rows_of(self, data: str) -> list[Method]:
        """Return the methods that have a row on a data set."""
        return [method for method in self.methods.values() if self.data[data].published in method.data]

    def cuts_of(self, data: str) -> dict[str, Cut]:
        """Return the methods whose row on a data set is not run unless it is named."""
        return {cut.method: cut for cut in self.cut if cut.data == data}

    def published(self, method: str, data: str) -> list[Published]:
        """Return the published tables that have a number of a method on a data set itself."""
        return [table for table in self.tables if table.data == data and method in table.values]

    def orders(self, data: str) -> list[Claim]:
        """Return the published orders to look for on a data set.

        They are those of the data set itself. A paper that has none for it lends those of its other data sets.
        """
        own, found = self.data[data].published, [*self.claims, *(claim for table in self.tables for claim in pairs(table))]
        here = {_paper(claim) for claim in found if claim.data == own}
        return [claim for claim in found if claim.data == own or (_paper(claim) not in here and claim.measure == "distance")]


def _paper(claim: Claim) -> str:
    return claim.source.split(",")[0]


def pairs(table: Published) -> Iterator[Claim]:
    """Yield an order for each two numbers of a table that differ by more than their spreads."""
    for a, b in combinations(sorted(table.values, key=lambda method: table.values[method]), 2):
        if table.values[b] - table.values[a] > table.spread.get(a, 0) + table.spread.get(b, 0):
            yield Claim(source=table.source, data=table.data, measure="distance", better=a, worse=b)


def parse(text: str) -> Contents:
    """Return the contents of rows.toml. Raises TypeError for a field that does not exist or is missing."""
    found: dict[str, Any] = tomllib.loads(text)
    methods = {key: Method(key=key, **_fixed(fields)) for key, fields in found["methods"].items()}
    return Contents(
        methods=methods,
        data={key: DataSet(key=key, **fields) for key, fields in found["data"].items()},
        tables=tuple(Published(**{"spread": {}, **fields}) for fields in found.get("tables", [])),
        claims=tuple(Claim(**fields) for fields in found.get("claims", [])),
        cut=tuple(Cut(**fields) for fields in found.get("cut", [])),
    )


def _fixed(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}


def contents() -> Contents:
    """Return rows.toml."""
    return parse(resources.files("genrev_cli.obtained").joinpath("rows.toml").read_text(encoding="utf-8"))


def makefile_variables(table: Contents) -> Iterator[str]:
    """Yield the assignments that pipelines/obtained.mk needs, one for each line."""
    for data in table.data.values():
        yield f"PREPARE_{data.key} := {data.prepare}"
        yield f"CLASSES_{data.key} := {'yes' if data.classes else ''}"
        run = [f"{method.key}-{data.key}" for method in table.rows_of(data.key) if method.key not in table.cuts_of(data.key)]
        yield f"ROWS_{data.key} := {' '.join(run)}"
        for method in table.rows_of(data.key):
            row = f"{method.key}-{data.key}"
            yield f"DATA_{row} := {data.key}"
            yield f"STAGES_{row} := {' '.join(str(i) for i in range(1, len(method.train) + 1))}"
            yield from (f"TRAIN_{row}_{i} := {command}" for i, command in enumerate(method.train, 1))
            yield f"CODES_{row} := {method.codes}"
            yield f"SAMPLES_{row} := {'yes' if method.samples else ''}"
            of_model = [*(["recon", "roundtrip"] if method.encodes else []), *(["bpd"] if method.bits else [])]
            yield f"OF_MODEL_{row} := {','.join(of_model)}"
            yield f"WARM_UP_{row} := {method.warm_up}"
