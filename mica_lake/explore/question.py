"""A question about a table: the rows of a time range, and how they are drawn."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from mica_lake.errors import near
from mica_lake.lake import Lake
from mica_lake.tables import TABLES
from mica_lake.tables.table import Table
from mica_lake.times import cxcsec

MOST_ROWS = 1000
#: Rows that are drawn one by one; above it, the range of the values in each of as many bins.
MOST_POINTS = 1500
TIMES_TAKEN = "Give a date in UTC, 2024:001, 2024:001:12:30:00 or 2024-01-01T12:30, or CXC seconds"
_NUMBER = re.compile(r"(U?(TINY|SMALL|BIG|HUGE)?(INT|INTEGER)|FLOAT|DOUBLE|BOOLEAN|DECIMAL.*)")


@dataclass(frozen=True)
class Field:
    """
    A column that can be asked for.

    Attributes
    ----------
    name : str
        Its name.
    unit : str
        Its unit, empty where it has none or none is declared.
    meaning : str
        What it is, empty where that is not declared.
    drawn : bool
        Whether its values are numbers, or flags.
    kelvin : bool
        Whether the lake has it in K; it is shown in °C.
    """

    name: str
    unit: str
    meaning: str
    drawn: bool
    kelvin: bool = False

    @property
    def value(self) -> str:
        """Its values in SQL."""
        return f"{_quoted(self.name)}::DOUBLE - 273.15" if self.kelvin else _quoted(self.name)

    @property
    def selected(self) -> str:
        """It in a SELECT."""
        return f"{self.value} AS {_quoted(self.name + '_celsius')}" if self.kelvin else self.value

    @property
    def label(self) -> str:
        """The label of an axis."""
        return f"{self.name} ({self.unit})" if self.unit else self.name


def fields(lake: Lake, table: str) -> dict[str, Field]:
    """
    The columns of a table as this lake has it, those of a wide table included.

    Examples
    --------
    >>> from mica_lake import Lake
    >>> fields(demo_lake(), "aca_l0")["TEMPCCD"].label
    'TEMPCCD (°C)'
    """
    if table not in TABLES:
        raise ValueError(f"there is no table {table!r}{near(table, TABLES)}")
    declared = TABLES[table].by_name
    found = {}
    for name, type_ in lake.sql(
        "SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM read_parquet("
        f"no_rows_file('{table}'), hive_partitioning = false))"
    ).fetchall():
        column = declared.get(name)
        # Values of several quantities in one column make no curve.
        drawn = _NUMBER.fullmatch(type_) is not None and "msid" not in declared
        unit = column.unit if column else ""
        kelvin = unit == "K"
        found[name] = Field(name, "°C" if kelvin else unit, column.meaning if column else "", drawn, kelvin)
    return found


def needs_slot(table: Table) -> bool:
    """Whether rows of a table are asked for by slot."""
    return "slot" in table.keys


def takes_slot(table: Table) -> bool:
    """Whether rows of a table can be asked for by slot."""
    return needs_slot(table) or bool(table.rows and "slot" in table.by_name)


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) else '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True)
class Points:
    """
    The points or bars of a column.

    Attributes
    ----------
    time : polars.Series
        CXC seconds: of the readouts, or of the middles of bins.
    low, high : polars.Series
        Least and greatest value; the same for single readouts. Null where there is no value.
    mean : polars.Series or None
        Their means, where these are known.
    """

    time: pl.Series
    low: pl.Series
    high: pl.Series
    mean: pl.Series | None = None


@dataclass(frozen=True)
class Question:
    """
    The rows of a table from one time to another.

    Parameters
    ----------
    lake : Lake
        The lake.
    table : str
        The table.
    start, stop : str
        Times, as `mica_lake.times.cxcsec` takes them, or CXC seconds as text.
    columns : sequence of str
        Which columns; the time is there in any case.
    slot : int, optional
        The slot: needed for tables that are partitioned by slot, and taken by aca_cent.

    Raises
    ------
    ValueError
        If there is no such table, slot or column, a time cannot be read, or stop is before start.

    Examples
    --------
    >>> from mica_lake import Lake
    >>> asked = Question(demo_lake(), "aca_l0", "2024:001", "2024:001:00:10", ["TEMPCCD"], 3)
    >>> asked.count
    293
    >>> print(asked.sql)
    SELECT utc(TIME) AS utc, TIME, TEMPCCD::DOUBLE - 273.15 AS TEMPCCD_celsius
    FROM slot_data('2024:001', '2024:001:00:10', 3)
    """

    lake: Lake
    table: str
    start: str
    stop: str
    columns: Sequence[str]
    slot: int | None = None

    def __post_init__(self) -> None:
        known = fields(self.lake, self.table)
        for name in self.columns:
            if name not in known:
                raise ValueError(f"table {self.table} has no column {name!r}{near(name, known)}")
        _ = self.interval  # checks the times
        if needs_slot(TABLES[self.table]) and self.slot is None:
            raise ValueError("which slot? Choose one of 0 to 7")
        if self.slot is not None and self.slot not in range(8):
            raise ValueError(f"slot {self.slot!r} is not one of 0 to 7")

    @cached_property
    def interval(self) -> tuple[float, float]:
        """Start and stop in CXC seconds."""
        return typed_interval(self.start, self.stop)

    @property
    def time(self) -> str:
        """The table's column of times."""
        return TABLES[self.table].time

    @property
    def drawn(self) -> list[Field]:
        """The columns asked for that can be drawn."""
        known = fields(self.lake, self.table)
        return [known[name] for name in self.columns if known[name].drawn and name != self.time]

    @property
    def _params(self) -> dict[str, Any]:
        params: dict[str, Any] = {"start": _typed(self.start), "stop": _typed(self.stop)}
        if self.slot is not None and takes_slot(TABLES[self.table]):
            params["slot"] = self.slot
        return params

    @property
    def _source(self) -> str:
        """The FROM clause: its names are declared ones, what was typed is bound as parameters."""
        table = TABLES[self.table]
        if not table.rows:
            condition = "\n    AND slot = $slot" if "slot" in self._params else ""
            return f"FROM {self.table}\nWHERE {self.time} BETWEEN cxcsec($start) AND cxcsec($stop){condition}"
        macro = re.sub(r"\b(start|stop|slot)\b", r"$\1", table.rows)
        condition = "\nWHERE slot = $slot" if "slot" in self._params and not needs_slot(table) else ""
        return f"FROM {macro}{condition}"

    @property
    def _query(self) -> str:
        known = fields(self.lake, self.table)
        selected = [known[name].selected for name in self.columns if name != self.time]
        return f"SELECT {', '.join([f'utc({self.time}) AS utc', self.time, *selected])}\n{self._source}"

    @property
    def sql(self) -> str:
        """The question in SQL, for people to copy."""
        return re.sub(r"\$(\w+)", lambda found: _literal(self._params[found[1]]), self._query)

    @property
    def python(self) -> str:
        """The question in Python; for readouts of a slot also with the function that people know."""
        lines = [
            "from mica_lake import Lake",
            "",
            f'rows = Lake({str(self.lake.root)!r}).sql("""',
            self.sql,
            '""").pl()',
        ]
        if self.table == "aca_l0":
            names = [self.time, *(name for name in self.columns if name != self.time)]
            start, stop, slot = (_literal(self._params[name]) for name in ("start", "stop", "slot"))
            lines += [
                "", "# or", "from mica_lake.archive import aca_l0", "",
                f"rows = aca_l0.get_slot_data({start}, {stop}, {slot}, columns={names!r}, "
                f"data_root={str(self.lake.root)!r})",
            ]  # fmt: skip
        return "\n".join(lines)

    @cached_property
    def count(self) -> int:
        """How many rows there are."""
        (count,) = self.lake.sql(f"SELECT count(*) {self._source}", self._params).fetchall()[0]
        return int(count)

    def rows(self, most: int = MOST_ROWS) -> pl.DataFrame:
        """The first rows."""
        return pl.DataFrame(self.lake.arrow(f"{self._query}\nLIMIT {int(most)}", self._params))

    @cached_property
    def bin_seconds(self) -> float | None:
        """Width of the bins in which values are drawn; None if each value is drawn."""
        if self.count <= MOST_POINTS:
            return None
        first, last = self.lake.sql(
            f"SELECT min({self.time}), max({self.time}) {self._source}", self._params
        ).fetchall()[0]
        return max(float(last - first) / MOST_POINTS, 1e-3)

    @cached_property
    def points(self) -> dict[str, Points]:
        """
        What to draw of each column, by name.

        Of more than `MOST_POINTS` rows, the range of values in each of that many bins of equal width. A bin without
        values is left out, so that a gap stays a gap; NaN counts as no value.
        """
        chosen = self.drawn
        if not chosen:
            return {}
        source, params, seconds = self._source, self._params, self.bin_seconds
        values = [f"CASE WHEN isfinite({_quoted(f.name)}::DOUBLE) THEN ({f.value})::DOUBLE END" for f in chosen]
        if seconds is None:
            columns = ", ".join(f"{value} AS low{n}, low{n} AS high{n}" for n, value in enumerate(values))
            query = f"SELECT {self.time} AS t, {columns} {source} ORDER BY t"
        else:
            columns = ", ".join(f"min({v}) AS low{n}, max({v}) AS high{n}" for n, v in enumerate(values))
            query = (
                f"SELECT (floor({self.time} / $width) + 0.5) * $width AS t, {columns} {source} GROUP BY t ORDER BY t"
            )
            params |= {"width": seconds}
        frame = pl.DataFrame(self.lake.arrow(query, params))
        return {
            f.name: Points(known["t"], known[f"low{n}"], known[f"high{n}"])
            for n, f in enumerate(chosen)
            for known in [frame.filter(pl.col(f"low{n}").is_not_null())]
        }


def typed_interval(start: str, stop: str) -> tuple[float, float]:
    """CXC seconds of two times as they are typed into a text box."""
    times = []
    for name, text in (("start", start), ("stop", stop)):
        try:
            times.append(cxcsec(_typed(text)))
        except ValueError:
            raise ValueError(f"{name}: {text!r} is not a time. {TIMES_TAKEN}") from None
    tstart, tstop = times
    if tstop < tstart:
        raise ValueError(f"stop {stop!r} is before start {start!r}")
    return tstart, tstop


def _typed(text: str) -> str | float:
    """A typed time: a number of seconds, or a text; digits alone may also be a year or GRETA's date."""
    text = text.strip()
    try:
        return text if re.fullmatch(r"\d{4}|\d{7}(\.\d*)?|\d{13,}", text, re.ASCII) else float(text)
    except ValueError:
        return text


def literal(text: str) -> str:
    """A typed time in SQL and in Python."""
    return _literal(_typed(text))


def _literal(value: Any) -> str:
    # A text is a time here, which has no quote in it.
    return f"'{value}'" if isinstance(value, str) else repr(value)
