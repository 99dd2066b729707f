"""The observing catalog (Ocat), from the lake or from the archive's web service, and other services of the archive."""

import operator
import os
import re
import warnings
from collections.abc import Iterable, Mapping
from functools import lru_cache
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mica_lake.archive.arrays import texts
from mica_lake.archive.cda.where import condition
from mica_lake.catalog.pointer import State, state
from mica_lake.errors import near
from mica_lake.formats import ocat
from mica_lake.formats.on_disk import read
from mica_lake.lake import open_lake

if TYPE_CHECKING:
    from astropy.table import Table

Root = str | os.PathLike[str] | None

#: Where the services are; each is a page below it.
URL_CDA_SERVICES = "https://cda.harvard.edu/srservices"
_RETURN_TYPES = ("auto", "table")
#: Columns of the summary that have another name there.
_SUMMARY = {
    "obs_id": "obsid", "instrument": "instr", "grating": "grat", "appr_exp": "app_exp", "exposure": "exp_time",
    "data_mode": "datamode", "exp_mode": "mode", "avg_cnt_rate": "count_rate", "public_release_date": "public_avail",
    "proposal_num": "pr_num", "science_category": "category", "alternate_group": "alt_group",
    "appr._triggers": "alt_trig",
}  # fmt: skip
_UNITS = {
    "app_exp": "ks", "exp_time": "ks", "est_cnt_rate": "s**-1", "forder_cnt_rate": "s**-1", "count_rate": "s**-1",
    "soe_roll": "degree", "y_off": "arcmin", "z_off": "arcmin", "x_sim": "mm", "z_sim": "mm", "evfil_lo": "keV",
    "evfil_ra": "keV", "f_time": "s",
}  # fmt: skip
_ALWAYS_A_TABLE = {"acisWindows", "rollReqs", "timeReqs"}
# An obsid that there is, whose answer has all columns.
_ANY_OBSID = 8000
_ABSTRACT = {
    "proposal_title": "Proposal Title", "proposal_number": "Proposal Number",
    "principal_investigator": "Principal Investigator", "abstract": "Abstract",
}  # fmt: skip


def get_ocat_local(
    obsid: int | str | None = None,
    *,
    target_name: str | None = None,
    resolve_name: bool = False,
    ra: float | None = None,
    dec: float | None = None,
    radius: float = 1.0,
    return_type: str = "auto",
    datafile: str | os.PathLike[str] | None = None,
    where: str | None = None,
    data_root: Root = None,
    **params: Any,
) -> "Table | dict[str, Any]":
    """
    Targets of the observing catalog that meet all of some conditions.

    Parameters
    ----------
    obsid : int or str, optional
        The observation.
    target_name : str, optional
        Part of the target's name, without regard to case and blanks; with `resolve_name` a name to be looked up.
    resolve_name : bool
        Whether to look up where `target_name` is, over the network, and give what is near it.
    ra, dec : float, optional
        Give only targets near this direction (deg); both are needed.
    radius : float
        How near: less than so many arcminutes on a great circle.
    return_type : {"auto", "table"}
        Whether to give a dict for a single obsid.
    datafile : path, optional
        A file of the archive, ``ocat_target_table.h5``, to ask instead of the lake.
    where : str, optional
        A condition in the syntax of PyTables: ``"(exp_time > 40) & (instr == 'ACIS-S')"``.
    data_root : path, optional
        The lake; `mica_lake.lake.default_root` by default.
    **params
        Values of columns.

    Returns
    -------
    astropy.table.Table or dict
        The targets in the order of the file, with its columns and units, masked where a number is blank; with
        ``return_type="auto"`` and an obsid, a dict of its values.

    Raises
    ------
    mica_lake.LakeError
        If there is no lake.
    ValueError
        If there is no such column, a value is not of its type, `where` or `return_type` is not known, `obsid` is not a
        whole number, or if a single obsid is asked for and there is not exactly one target of it.

    Examples
    --------
    >>> lake = demo_lake().root
    >>> table = get_ocat_local(where="dec > -90", data_root=lake)
    >>> one = get_ocat_local(int(table["obsid"][0]), data_root=lake)
    >>> len(table), one["target_name"] == table["target_name"][0]
    (1, True)
    """
    _check_return_type(return_type)
    rows, columns = _catalog(datafile, data_root)
    types = {name: rows.schema.field(name).type for name in rows.column_names}
    conditions = [condition(where, types)] if where else []
    if obsid is not None:
        conditions.append(pc.equal(pc.field("obsid"), _whole(obsid)))
    for name, value in params.items():
        conditions.append(_is(name, value, types))
    for one in conditions:
        try:
            rows = rows.filter(one)
        except (pa.ArrowNotImplementedError, pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise ValueError(f"where {where!r} cannot be computed: {error}") from None
    if target_name is not None and not resolve_name:
        part = _squeezed(target_name)
        found = [part in _squeezed(name or "") for name in rows.column("target_name").to_pylist()]
        rows = rows.filter(pa.array(found, pa.bool_()))
    elif target_name is not None and (ra is None or dec is None):
        ra, dec = _resolved(target_name)
    if ra is not None and dec is not None:
        apart = _arcmin(rows.column("ra").to_numpy(), rows.column("dec").to_numpy(), ra, dec)
        rows = rows.filter(pa.array(apart < radius))
    table = _table(rows, columns)
    return _single(table, obsid) if return_type == "auto" and obsid is not None else table


def _check_return_type(return_type: str) -> None:
    if return_type not in _RETURN_TYPES:
        raise ValueError(f"return_type {return_type!r} is not one of {', '.join(map(repr, _RETURN_TYPES))}")


def _catalog(datafile: str | os.PathLike[str] | None, data_root: Root) -> tuple[pa.Table, Iterable[Mapping[str, Any]]]:
    """All rows, and what the columns of the file are."""
    if datafile is not None:
        found = ocat.read(read(Path(datafile), ocat.LARGEST))
        return found.rows, found.columns
    lake = open_lake(data_root)
    return _of_lake(str(lake.root), state(lake.root))


@lru_cache(maxsize=2)
def _of_lake(root: str, generation: State) -> tuple[pa.Table, list[dict[str, Any]]]:
    lake = open_lake(root)
    columns = lake.arrow("FROM ocat_column ORDER BY position").to_pylist()
    rows = lake.arrow("FROM ocat")
    if not columns:
        raise ValueError(f"the lake at {root} has no observing catalog: mica-lake ingest ocat takes it")
    return rows.select([column["name"] for column in columns]), columns


def _whole(obsid: Any) -> int:
    try:
        return int(obsid) if isinstance(obsid, str) else operator.index(obsid)
    except (TypeError, ValueError):
        raise ValueError(f"obsid {obsid!r} is not a whole number") from None


def _is(name: str, value: Any, types: Mapping[str, pa.DataType]) -> pc.Expression:
    if name not in types:
        raise ValueError(f"there is no column {name!r}{near(name, types)}")
    value = value.item() if isinstance(value, np.generic) else value
    text = pa.types.is_string(types[name])
    if text != isinstance(value, str) or not isinstance(value, str | int | float):
        raise ValueError(f"column {name} is {'text' if text else 'a number'}, {value!r} is not")
    return pc.equal(pc.field(name), pc.scalar(value))


def _squeezed(name: str) -> str:
    return re.sub(r"\s", "", name).lower()


def _resolved(name: str) -> tuple[float, float]:
    from astropy.coordinates import SkyCoord

    found = SkyCoord.from_name(name)
    return float(found.ra.deg), float(found.dec.deg)


def _arcmin(ra: Any, dec: Any, ra0: float, dec0: float) -> Any:
    """Angles on great circles, by haversines, which are exact for small ones; NaN where a direction is not known."""
    ra, dec, ra0, dec0 = (np.radians(np.asarray(angle, float)) for angle in (ra, dec, ra0, dec0))
    square = np.sin((dec - dec0) / 2) ** 2 + np.cos(dec) * np.cos(dec0) * np.sin((ra - ra0) / 2) ** 2
    return 60 * np.degrees(2 * np.arcsin(np.sqrt(np.minimum(square, 1.0))))


def _table(rows: pa.Table, columns: Iterable[Mapping[str, Any]]) -> "Table":
    from astropy.table import Column, MaskedColumn, Table

    made: dict[str, Column] = {}
    for column in columns:
        name, found = column["name"], rows.column(column["name"])
        if pa.types.is_string(found.type):
            data = texts(found.fill_null(""))
        else:
            kind = "f8" if pa.types.is_floating(found.type) else "i8"
            data = found.fill_null(0).to_numpy().astype(kind)
        if column["masked"]:
            made[name] = MaskedColumn(data, mask=found.is_null().to_numpy(), unit=column["unit"])
        else:
            made[name] = Column(data, unit=column["unit"])
    return Table(made, copy=False)


def _single(table: "Table", obsid: Any) -> dict[str, Any]:
    if len(table) != 1:
        raise ValueError(f"there are {len(table)} targets of obsid {obsid}, not one, that meet these conditions")
    return {name: table[name][0] for name in table.colnames}


def get_ocat_web(
    obsid: int | str | None = None,
    *,
    summary: bool = False,
    target_name: str | None = None,
    resolve_name: bool = False,
    ra: float | None = None,
    dec: float | None = None,
    radius: float = 1.0,
    return_type: str = "auto",
    timeout: float = 60,
    verbose: bool = False,
    **params: Any,
) -> "Table | dict[str, Any]":
    """
    Targets of the observing catalog, from the archive's web service.

    Parameters
    ----------
    obsid : int or str, optional
        The observation, or a range of them as the service takes it.
    summary : bool
        Whether to ask for the summary, which has fewer columns.
    target_name : str, optional
        The target, as the service matches it; with `resolve_name` a name to be looked up.
    resolve_name, ra, dec, radius, return_type
        As for `get_ocat_local`.
    timeout : float
        How long to wait for the service (s).
    verbose : bool
        Whether to print the address.
    **params
        What else to ask the service, such as ``instrument="ACIS-S"``, ``maxResults=5``.

    Returns
    -------
    astropy.table.Table or dict
        As from `get_ocat_local`, with the columns that the service has, masked where one is blank; ra and dec in
        degrees. Always a Table of ``acisWindows``, ``rollReqs`` and ``timeReqs``.

    Raises
    ------
    RuntimeError
        If the service answers with an error; its code, address and text are said.
    ValueError
        If `return_type` is not known, or a single obsid is asked for and there is not exactly one target of it.
    OSError
        If the service cannot be reached.
    ImportError
        If requests is not installed.
    """
    _check_return_type(return_type)
    asked = dict(params)
    if obsid is not None:
        asked["obsid"] = obsid
    if target_name is not None and not resolve_name:
        asked["target"] = target_name
    elif target_name is not None and (ra is None or dec is None):
        ra, dec = _resolved(target_name)
    asked |= {name: value for name, value in (("lon", ra), ("lat", dec)) if value is not None}
    if ra is not None and dec is not None:
        asked["radius"] = radius
    service = "ocatList" if summary else "ocatDetails"
    form = {"format": "text", "outputCoordUnits": "sexagesimal"}
    text = _service(service, asked | form, timeout, verbose)
    single = return_type == "auto" and _is_whole(obsid) and not _ALWAYS_A_TABLE & asked.keys()
    table = _of_rdb(text)
    if table is None:
        if single:
            raise ValueError(f"the observing catalog has no obsid {obsid}")
        table = _of_rdb(_service(service, {"obsid": _ANY_OBSID} | form, timeout, verbose))
        if table is None:
            raise RuntimeError(f"the service {service} has no rows, not even of obsid {_ANY_OBSID}")
        table = table[:0]
    return _single(table, obsid) if single else table


def _is_whole(obsid: Any) -> bool:
    try:
        _whole(obsid)
    except ValueError:
        return False
    return True


def _of_rdb(text: str) -> "Table | None":
    """A table as the service writes it: names, types and rows, by tabs; None if there are only comments."""
    from astropy.table import Table

    lines = [line for line in text.split("\n") if line.strip("\r") and not line.startswith("#")]
    if not lines:
        return None
    names = [_name(name) for name in lines[0].rstrip("\r").split("\t")]
    numeric = [form.rstrip("\r").endswith("N") for form in lines[1].split("\t")]
    cells = [line.rstrip("\r").split("\t") for line in lines[2:]]
    table = Table()
    for place, name in enumerate(names):
        values = [row[place] for row in cells]
        table[name] = _cells(values, numeric[place])
        if name in _UNITS:
            table[name].unit = _UNITS[name]
    if cells and {"ra", "dec"} <= set(names) and table["ra"].dtype.kind == "U":
        table["ra"] = [15 * _degrees(text) for text in table["ra"]]
        table["dec"] = [_degrees(text) for text in table["dec"]]
    return table


def _name(title: str) -> str:
    name = title.lower().replace(" (ks)", "").replace(" ", "_")
    return _SUMMARY.get(name, name)


def _cells(values: list[str], numeric: bool) -> Any:
    from astropy.table import Column, MaskedColumn

    blank = np.array([value == "" for value in values], bool)
    data: Any
    if not values:
        data = np.zeros(0, np.int64)
    elif not numeric:
        data = np.array(values, str)
    else:
        filled = [value or "0" for value in values]
        try:
            data = np.array([int(value) for value in filled], np.int64)
        except ValueError:
            data = np.array([float(value) for value in filled])
    return MaskedColumn(data, mask=blank) if blank.any() else Column(data)


def _degrees(text: str) -> float:
    """Degrees, or hours, of a sexagesimal text."""
    sign = -1.0 if text.lstrip().startswith("-") else 1.0
    whole, minutes, seconds = text.split()
    return sign * (abs(int(whole)) + int(minutes) / 60 + float(seconds) / 3600)


def _service(name: str, params: Mapping[str, Any], timeout: float, verbose: bool = False) -> str:
    """The text that a service answers."""
    try:
        import requests
    except ImportError:
        raise ImportError("requests is absent: pip install 'mica-lake[web]'") from None
    answer = requests.get(f"{URL_CDA_SERVICES}/{name}.do", params=dict(params), timeout=timeout)
    if verbose:
        print(answer.url)
    # What the service says of its encoding is not what it writes.
    answer.encoding = "utf-8"
    if not answer.ok:
        said = " ".join(unescape(re.sub(r"<[^>]*>", " ", answer.text)).split())
        raise RuntimeError(f"the archive answered {answer.status_code} for {answer.url}: {said}")
    return answer.text


def get_proposal_abstract(obsid: int | None = None, propnum: str | None = None, timeout: float = 60) -> dict[str, str]:
    """
    Title, number, investigator and abstract of a proposal, from the archive's web service.

    Parameters
    ----------
    obsid : int, optional
        An observation of it.
    propnum : str, optional
        Its number.
    timeout : float
        How long to wait for the service (s).

    Returns
    -------
    dict
        ``proposal_title``, ``proposal_number``, ``principal_investigator``, ``abstract``: the text of the page after
        each label, without characters that are not ASCII. What the page does not have is left out, with a warning.

    Raises
    ------
    ValueError
        If neither is given.
    RuntimeError, OSError, ImportError
        As for `get_ocat_web`.
    """
    asked = {name: value for name, value in (("obsid", obsid), ("propNum", propnum)) if value is not None}
    if not asked:
        raise ValueError("which proposal? Give obsid or propnum")
    page = _service("propAbstract", asked, timeout)
    text = unescape(re.sub(r"<[^>]*>", "", page)).encode("ascii", "ignore").decode()
    text = text.replace("\r", "").replace("\n", " ")
    found = {}
    labels = list(_ABSTRACT.items())
    for place, (name, label) in enumerate(labels):
        begins = text.find(f"{label}:")
        ends = text.find(f"{labels[place + 1][1]}:") if place + 1 < len(labels) else len(text)
        if begins < 0 or ends < 0:
            warnings.warn(f"the page of proposal {asked} has no {label}, or not what follows it", stacklevel=2)
            continue
        found[name] = text[begins + len(label) + 1 : ends].strip()
    return found


def get_archive_file_list(
    obsid: int | str, detector: str, level: float, dataset: str = "flight", timeout: float = 60, **params: Any
) -> "Table":
    """
    Files that the archive has of an observation, from its web service.

    Parameters
    ----------
    obsid : int or str
        The observation.
    detector : str
        Such as ``pcad``, ``acis``, ``hrc``.
    level : float
        Level of processing.
    dataset : str
        The set of data.
    timeout : float
        How long to wait for the service (s).
    **params
        What else to ask: ``subdetector``, ``filetype``, ``obi``.

    Returns
    -------
    astropy.table.Table
        A row per file: Filename, Filesize (bytes), Timestamp.

    Raises
    ------
    RuntimeError, OSError, ImportError
        As for `get_ocat_web`.
    """
    from astropy.table import Table

    asked = params | {"dataset": dataset, "detector": detector, "level": level, "obsid": obsid}
    lines = [line for line in _service("archiveFileList", asked, timeout).splitlines() if line.strip()]
    names, *rows = [line.split("\t") for line in lines]
    table = Table([list(column) for column in zip(*rows, strict=True)] or [[], [], []], names=names)
    table["Filesize"] = [int(size.replace(",", "")) for size in table["Filesize"]]
    return table


def update_ocat_local(datafile: str | os.PathLike[str], **params: Any) -> Path:
    """
    Fetch the observing catalog and write it as the archive's file.

    Parameters
    ----------
    datafile : path
        The file, ``ocat_target_table.h5``; it is replaced at once, when all has come. `mica-lake ingest ocat` takes it.
    **params
        As for `get_ocat_web`.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    RuntimeError, OSError, ImportError
        As for `get_ocat_web`.
    """
    from astropy.table import MaskedColumn

    table: Any = get_ocat_web(**{"timeout": 300, **params, "return_type": "table"})
    for name in table.colnames:
        if table[name].dtype.kind == "U":
            # HDF5 has no masked text: a blank is 0.
            texts = table[name].filled("0") if isinstance(table[name], MaskedColumn) else table[name]
            table[name] = np.char.encode(np.asarray(texts), "utf-8")
    path = Path(datafile)
    beside = path.with_name(f".{path.name}.{os.getpid()}.h5")
    try:
        table.write(beside, path="data", serialize_meta=True, format="hdf5", overwrite=True)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return path
