"""
Load reviews: the reports ``starcheck.txt`` of the mission planners.

A report says for each observation of a load what was to be observed, the maneuvers to it, its star catalog, and what
the checks found.
"""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

from mica_lake.errors import BadFile
from mica_lake.formats import on_disk

#: Most bytes that a report may have; those of flight have a tenth.
LARGEST = 1 << 26
#: The columns of each part of a report, in the order of the tables that mica has of them.
HEADER = (
    "point_ra", "point_dec", "point_roll", "target_id", "sci_instr", "sim_z_offset_steps", "sim_z_offset_mm", "grating",
    "dither_state", "dither_y_amp", "dither_y_period", "dither_z_amp", "dither_z_period", "mp_starcat_time",
    "mp_starcat_vcdu_cnt",
)  # fmt: skip
MANEUVER = (
    "instance", "duration_sec", "angle_deg", "slew_err_arcsec", "target_Q1", "target_Q2", "target_Q3", "target_Q4",
    "mp_targquat_time", "mp_targquat_vcdu_cnt", "end_date",
)  # fmt: skip
CATALOG = (
    "mp_starcat_time", "idx", "slot", "id", "idnote", "type", "sz", "p_acq", "minmag", "mag", "maxmag", "yang", "zang",
    "dim", "res", "halfw", "pass", "notes",
)  # fmt: skip
WARNING = ("warning", "idx", "warning_type")

_MP_DIR = re.compile(r"/\d{4}/([A-Z]{3}\d{4})/ofls([a-z])/", re.ASCII)
_LOAD = re.compile(r"([A-Z]{3}\d{4})([A-Z])", re.ASCII)
_STEP_MM = 2.51432e-06
# Its line cannot be read in any report.
_UNREADABLE_TARGET = {11866: "cl0422-5009"}
_BAR = re.compile(r"^={20,}[^\n]*\n", re.MULTILINE)
_BEGINS = re.compile(r"OBSID: (\d+)")
_TARGET = re.compile(
    r"OBSID: \d+\s+(?P<target>\S.*?)\s+(?P<instr>\S+)\s+SIM Z offset:\s*(?P<steps>-?\d+)\s*(\(-?[\d.]+\s*mm\)\s*)?"
    r"Grating:\s*(?P<grating>\S+)\s*"
)
_FLOAT = r"(-?[\d.]+)"
_COORDS = re.compile(rf"^RA, Dec, Roll \(deg\):\s+{_FLOAT}\s+{_FLOAT}\s+{_FLOAT}", re.MULTILINE)
# With two blanks after the colon, as it was printed for a time, nothing is known of the dither.
_DITHER_ON = re.compile(
    rf"^Dither: ON\s+Y_amp=\s*{_FLOAT}\s+Z_amp=\s*{_FLOAT}\s+Y_period=\s*{_FLOAT}\s+Z_period=\s*{_FLOAT}", re.MULTILINE
)
_DITHER_OFF = re.compile(r"^Dither: OFF", re.MULTILINE)
_AT = r"at\s+(?P<date>\S+)\s+\(VCDU count = (?P<count>\d+)\)"
_MANEUVER = re.compile(rf"^MP_TARGQUAT {_AT}", re.MULTILINE)
_QUATERNION = re.compile(rf"^\s*Q1,Q2,Q3,Q4:\s+{_FLOAT}\s+{_FLOAT}\s+{_FLOAT}\s+{_FLOAT}", re.MULTILINE)
_ANGLE = re.compile(
    rf"^\s*MANVR:\s+Angle=\s*{_FLOAT}\s+deg\s+Duration=\s*(\d+)\s+sec"
    r"(?:\s+Slew err=\s*[\d.]+\s+arcsec)?(?:\s+End=\s*(\S+))?",
    re.MULTILINE,
)
_STARCAT = re.compile(rf"^MP_STARCAT {_AT}", re.MULTILINE)
_RULE = re.compile(r"-{20,}\s*")
_TITLE = re.compile(
    r"IDX SLOT\s+ID\s+TYPE\s+SZ\s+(?P<fourth>MINMAG|P_ACQ)\s+MAG\s+MAXMAG\s+YANG\s+ZANG\s+DIM\s+RES\s+HALFW"
    r"(?P<last>( PASS NOTES| NOTES)?)"
)
_FOUND = re.compile(r"^>> (?P<label>CRITICAL|WARNING|CAUTION|INFO) *: (?P<text>.*)$", re.MULTILINE)
_OF_TWO = re.compile(r"(?P<type>[\w ]+)\. \[ ?(?P<i>\d+)\]-\[ ?(?P<j>\d+)\]: *(?P<text>.*)")
_OF_ONE_FIRST = re.compile(r"\[ ?(?P<i>\d+)\](?P<type>[\w ]+)\.(?P<text>.*)")
_OF_ONE = re.compile(r"(?P<type>[\w ]+)\. \[ ?(?P<i>\d+)\].?\s*(?P<text>.*)")
_PREDICTED = re.compile(rf"^Predicted Max CCD temperature:\s+{_FLOAT} C", re.MULTILINE)


@dataclass(frozen=True)
class Observation:
    """
    What a report says of an observation.

    Attributes
    ----------
    obsid : int
        The obsid as planned.
    header : dict
        Values of `HEADER`, None where the report has none.
    maneuvers : list of dict
        Values of `MANEUVER` of each maneuver.
    catalog : list of dict
        Values of `CATALOG` of each entry of the star catalog.
    warnings : list of dict
        Values of `WARNING` of each finding of the checks.
    pred_ccd_temp : float or None
        The greatest CCD temperature that is predicted (°C).
    """

    obsid: int
    header: dict[str, Any] = field(default_factory=dict)
    maneuvers: list[dict[str, Any]] = field(default_factory=list)
    catalog: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[dict[str, Any]] = field(default_factory=list)
    pred_ccd_temp: float | None = None


def load_name(mp_dir: str) -> str | None:
    """
    Name of the load in a folder; None if it has none.

    Examples
    --------
    >>> load_name("/2015/MAY1815/oflsb/")
    'MAY1815B'
    """
    found = _MP_DIR.fullmatch(mp_dir)
    return found[1] + found[2].upper() if found else None


def folder_of(load: str) -> str | None:
    """
    Folder of a load; None if this is no name of one.

    Examples
    --------
    >>> folder_of("MAY1815B"), folder_of("FEB0599A"), folder_of("CMD_EVT")
    ('/2015/MAY1815/oflsb/', '/1999/FEB0599/oflsa/', None)
    """
    found = _LOAD.fullmatch(load)
    day = _day(found[1]) if found else None
    return f"/{day.year}/{found[1]}/ofls{found[2].lower()}/" if found and day else None


def _day(week: str) -> date | None:
    """The date in a load's name, as MAY1815."""
    year = int(week[5:7])
    try:
        return datetime.strptime(f"{week[:5]}{(1900 if year > 90 else 2000) + year}", "%b%d%Y").date()
    except ValueError:
        return None


def load_date(mp_dir: str) -> date | None:
    """The date in a load's folder."""
    found = _MP_DIR.fullmatch(mp_dir)
    return _day(found[1]) if found else None


def read_starcheck(path: str | os.PathLike[str]) -> list[Observation]:
    """
    Read a report.

    Parameters
    ----------
    path : path
        The file, of any name.

    Returns
    -------
    list of Observation
        The observations of the load in order, without those whose obsid is not a number.

    Raises
    ------
    ValueError
        If something that every report says is missing or cannot be read; the obsid is named.
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> from mica_lake.simulate import starcheck
    >>> from mica_lake.simulate.observations import observations
    >>> path, _ = starcheck.write_archive(getfixture("tmp_path"), observations(7e8, 7e8 + 20000))
    >>> [(o.obsid, o.header["sci_instr"], len(o.catalog), o.pred_ccd_temp) for o in read_starcheck(path)]
    [(43476, None, 8, -9.4), (27379, 'ACIS-S', 8, -9.7)]
    """
    return parse(on_disk.read(Path(path), LARGEST))


def parse(content: bytes) -> list[Observation]:
    """The observations of a report, given as the bytes of its file."""
    text = content.decode("utf-8", "replace")
    return [_observation(piece) for piece in _BAR.split(text) if _BEGINS.match(piece)]


def _observation(piece: str) -> Observation:
    lines = piece.split("\n")
    begins = _BEGINS.match(piece)
    assert begins is not None
    obsid = int(begins[1])
    header: dict[str, Any] = dict.fromkeys(HEADER)
    header |= _target(obsid, lines[0])
    if coords := _COORDS.search(piece):
        header |= zip(("point_ra", "point_dec", "point_roll"), map(float, coords.groups()), strict=True)
    if dither := _DITHER_ON.search(piece):
        header["dither_state"] = "ON"
        names = ("dither_y_amp", "dither_z_amp", "dither_y_period", "dither_z_period")
        header |= zip(names, map(float, dither.groups()), strict=True)
    elif _DITHER_OFF.search(piece):
        header |= {"dither_state": "OFF", "dither_y_amp": 0.0, "dither_z_amp": 0.0}
    catalog: list[dict[str, Any]] = []
    if starcat := _STARCAT.search(piece):
        header |= {"mp_starcat_time": starcat["date"], "mp_starcat_vcdu_cnt": int(starcat["count"])}
        catalog = list(_catalog(obsid, starcat["date"], piece[starcat.end() :].split("\n")[1:]))
    temperature = _PREDICTED.search(piece)
    return Observation(
        obsid,
        header,
        list(_maneuvers(obsid, piece)),
        catalog,
        [warning for found in _FOUND.finditer(piece) for warning in _warnings(found["text"])],
        float(temperature[1]) if temperature else None,
    )


def _target(obsid: int, line: str) -> dict[str, Any]:
    """What is observed; nothing for an engineering request."""
    if not line.removeprefix(f"OBSID: {line[7:].split()[0]}").strip():
        return {}
    found = _TARGET.fullmatch(line)
    if found is None:
        raise BadFile(
            f"obsid {obsid}: its target, instrument, SIM Z offset and grating cannot be read: {line.strip()!r}"
        )
    steps = int(found["steps"])
    return {
        "target_id": _UNREADABLE_TARGET.get(obsid, found["target"]),
        "sci_instr": found["instr"],
        "sim_z_offset_steps": steps,
        # The report rounds it.
        "sim_z_offset_mm": float(steps) * 1000 * _STEP_MM,
        "grating": found["grating"],
    }


def _maneuvers(obsid: int, piece: str) -> Iterable[dict[str, Any]]:
    begins = list(_MANEUVER.finditer(piece))
    for instance, begin in enumerate(begins):
        said = piece[begin.end() :].split("\n\n")[0]
        quaternion, angle = _QUATERNION.search(said), _ANGLE.search(said)
        if quaternion is None:
            raise BadFile(f"obsid {obsid}: the maneuver of {begin['date']} has no quaternion Q1,Q2,Q3,Q4")
        row: dict[str, Any] = dict.fromkeys(MANEUVER)
        row |= {"instance": instance, "mp_targquat_time": begin["date"], "mp_targquat_vcdu_cnt": int(begin["count"])}
        row |= {f"target_Q{n}": float(value) for n, value in enumerate(quaternion.groups(), 1)}
        if angle is not None:
            row |= {"angle_deg": float(angle[1]), "duration_sec": float(angle[2]), "end_date": angle[3]}
        yield row


def _catalog(obsid: int, date: str, lines: list[str]) -> Iterable[dict[str, Any]]:
    title = _TITLE.fullmatch(lines[1].strip()) if len(lines) > 2 and _RULE.fullmatch(lines[0]) else None
    if title is None or not _RULE.fullmatch(lines[2]):
        raise BadFile(f"obsid {obsid}: its catalog does not begin with column titles that are known")
    fourth = title["fourth"].lower()
    for line in lines[3:]:
        if not line.startswith("["):
            break
        try:
            yield {"mp_starcat_time": date} | _entry(line, fourth, title["last"].strip())
        except ValueError:
            raise BadFile(f"obsid {obsid}: this line of its catalog cannot be read: {line.rstrip()!r}") from None


def _entry(line: str, fourth: str, last: str) -> dict[str, Any]:
    """One line of a catalog, whose columns are at fixed places."""

    def text(first: int, last: int) -> str | None:
        value = line[first : last + 1].strip()
        return None if value == "---" else value

    def number(first: int, last: int, kind: type = int) -> Any:
        value = text(first, last)
        return None if value is None else kind(value)

    name = line[7:19].strip()
    digits = re.search(r"\d+$", name)
    row: dict[str, Any] = dict.fromkeys(CATALOG[1:])
    row |= {
        "idx": int(line[1:3]),
        "slot": int(line[4:7]),
        "id": int(digits[0]) if digits else None,
        "idnote": (name[: digits.start()] if digits else name) or None,
        "type": line[19:25].strip(),
        "sz": line[25:30].strip(),
        fourth: number(30, 37, float),
        "mag": number(38, 45, float),
        "maxmag": number(46, 53, float),
        "yang": number(54, 60),
        "zang": number(61, 67),
        "dim": number(68, 71),
        "res": number(72, 75),
        "halfw": number(76, 80),
    }
    # A blank is kept as two hyphens, as mica has it.
    if last == "PASS NOTES":
        row |= {"pass": line[81:87].strip() or "--", "notes": line[87:93].strip() or "--"}
    elif last == "NOTES":
        row["pass"] = line[81:93].strip() or "--"
    return row


def _warnings(said: str) -> list[dict[str, Any]]:
    """What a line says that the checks found; of two entries of a catalog, once for each."""
    if found := _OF_TWO.fullmatch(said):
        warning = f"[{found['i']:>2}]-[{found['j']:>2}] -> {found['text']}"
        return [{"warning": warning, "idx": int(i), "warning_type": found["type"]} for i in (found["i"], found["j"])]
    if found := _OF_ONE_FIRST.match(said) or _OF_ONE.match(said):
        return [{"warning": found["text"], "idx": int(found["i"]), "warning_type": found["type"]}]
    return [{"warning": said, "idx": None, "warning_type": None}]


def shown(observations: Iterable[Observation]) -> Iterable[str]:
    """A report in short, line by line, for people."""
    for one in observations:
        yield f"obsid {one.obsid}  {_said(one.header, ('target_id', 'sci_instr', 'grating', 'mp_starcat_time'))}"
        for row in one.catalog:
            yield "  " + _said(
                row, ("idx", "slot", "id", "type", "sz", "p_acq", "mag", "maxmag", "yang", "zang", "halfw")
            )
        for row in one.warnings:
            yield "  >> " + _said(row, ("idx", "warning_type", "warning"))


def _said(row: Mapping[str, Any], names: Iterable[str]) -> str:
    return "  ".join(f"{name} {row[name]}" for name in names if row.get(name) is not None)
