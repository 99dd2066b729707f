"""An aspect interval: its product files, and the residuals of everything tracked in it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mica_lake.errors import MissingDataError
from mica_lake.formats.fits_product import ProductFile
from mica_lake.vv.residuals import distance, fid_angles, magnitudes, running_median, star_angles

_Floats = NDArray[np.float64]

_HEADER = ("ASCDSVER", "CALDBVER", "DATE", "OBI_NUM", "OBS_ID", "REVISION", "TSTART", "TSTOP")
_CENTROID = ("time", "slot", "alg", "status", "ang_y", "ang_z", "ang_y_sm", "ang_z_sm", "counts")
# From mm at the SIM to arcsec on the sky, rounded.
_ARCSEC_PER_MM = 20
# Quality of a sample whose status is good but whose residual is not a number.
_NO_RESIDUAL = -1


@dataclass(frozen=True)
class Interval:
    """
    One aspect interval and its residuals.

    Attributes
    ----------
    name : str
        How its files' names begin, such as ``pcadf052091234N002``.
    header : dict
        ASCDSVER, CALDBVER, DATE, OBI_NUM, OBS_ID, REVISION, TSTART and TSTOP of its aspect solution.
    gsprops, fidprops : list of dict
        Rows of its guide star and fid light properties: column -> int, float, str (stripped) or list.
    sim : dict
        medf_dy, medf_dz: smoothed drift of the SIM (arcsec) at each sample of the solution, as numpy.ndarray of
        float64; NaN where the solution has no drift.
    slots : dict
        Slot -> what is tracked there: slot, type, id_status and, for stars, cel_loc_flag; with or without centroids.
    slot_data : dict
        Slot -> name -> array, as in `Obi.all_slot_data`, for the slots with centroids.
    """

    name: str
    header: dict[str, Any]
    gsprops: list[dict[str, Any]]
    fidprops: list[dict[str, Any]]
    sim: dict[str, _Floats]
    slots: dict[int, dict[str, Any]]
    slot_data: dict[int, dict[str, Any]]


def intervals_in(obspar: Mapping[str, Any], folder: Path) -> list[Interval]:
    """The aspect intervals in a folder that overlap the observation, by time."""
    start, stop = obspar["tstart"], obspar["tstop"]
    solutions = [ProductFile(path) for path in _solutions(folder)]
    solutions = [solution for solution in solutions if solution.keyword("CONTENT") != "ASPSOLOBI"]
    chosen = [s for s in solutions if s.number("TSTART") < stop and s.number("TSTOP") > start]
    if not chosen:
        none = (
            f"none of its {len(solutions)} aspect solutions overlaps" if solutions else "it has no aspect solution for"
        )
        raise MissingDataError(
            f"{folder}: {none} {start} to {stop}, the observation of obsid {obspar['obs_id']}: "
            "give the folder of its pcad*_asol1.fits.gz"
        )
    return [_interval(solution) for solution in sorted(chosen, key=lambda s: s.number("TSTART"))]


def _interval(solution: ProductFile) -> Interval:
    """Compute the residuals of one aspect interval."""
    name = solution.path.name.partition("_")[0]
    acal, acen, gspr, fidpr = (_sibling(solution.path, name, kind) for kind in ("acal", "acen", "gspr", "fidpr"))
    for file in (solution, acal):
        if not len(file.data):
            raise ValueError(f"{file.path}: it has no rows: leave out this aspect interval, or fetch the file again")
    time = solution.column("time")
    if not (np.isfinite(time).all() and (np.diff(time) > 0).all()):
        raise ValueError(f"{solution.path}: its times are not ascending: fetch the file again")
    # In newer solutions the attitude includes the drift; what older ones have is there under other names.
    dy, dz, dtheta = (solution.column(f"a{column}", column) for column in ("dy", "dz", "dtheta"))
    attitude = solution.column("q_att_raw", "q_att")
    aca_misalign, fts_misalign = (acal.column(column)[0] for column in ("aca_misalign", "fts_misalign"))
    offset = [fidpr.number(f"LSI0STT{i}") + fidpr.number(f"STT0STF{i}") for i in (1, 2, 3)]
    focal_length, seconds = fidpr.number("RRC0FCX"), acen.number("INTGTIME")

    columns = {column: acen.column(column) for column in _CENTROID}
    chosen = (columns["alg"] == 8) & (columns["time"] >= time[0]) & (columns["time"] <= time[-1])
    columns = {column: values[chosen] for column, values in columns.items()}

    def residuals(row: Mapping[str, Any], fid: bool) -> dict[str, NDArray[Any]]:
        at = columns["slot"] == row["slot"]
        data = {column: columns[column][at] for column in _CENTROID if column not in ("slot", "alg")}
        times, status = data.pop("time"), data.pop("status").astype(np.int32)
        if fid:
            drift = (np.interp(times, time, dy), np.interp(times, time, dz), np.interp(times, time, dtheta))
            place = np.add(row["p_lsi"], offset)
            yag, zag = fid_angles(drift, aca_misalign @ fts_misalign, place, focal_length)
        else:
            q = np.stack([np.interp(times, time, component) for component in attitude.T], axis=1)
            yag, zag = star_angles(q, aca_misalign, np.array(row["pos_eci"]))
        y, z = (3600 * data[column + "_sm" * fid] for column in ("ang_y", "ang_z"))
        residual = {"dy": y - yag, "dz": z - zag, "dr": distance(yag, zag, y, z)}
        known = np.isfinite(list(residual.values())).all(axis=0)
        qual = np.where((status == 0) & ~known, np.int32(_NO_RESIDUAL), status)
        of_time = {"time": times, "qual": qual}
        return {**of_time, **residual, "mag": magnitudes(data["counts"], seconds), "yag": yag, "zag": zag, **data}

    slots: dict[int, dict[str, Any]] = {}
    slot_data: dict[int, dict[str, Any]] = {}
    gsprops = gspr.rows("slot", "type", "id_status", "cel_loc_flag", "pos_eci")
    fidprops = fidpr.rows("slot", "id_status", "p_lsi")
    for row, fid in [*((row, True) for row in fidprops), *((row, False) for row in gsprops)]:
        slot = row["slot"]
        data = residuals(row, fid)
        if len(data["time"]) >= (1 if fid else 2):
            slot_data[slot] = data
        slots[slot] = {"slot": slot, "type": "FID" if fid else row["type"], "id_status": row["id_status"]}
        if not fid:
            slots[slot]["cel_loc_flag"] = row["cel_loc_flag"]
    sim = {f"medf_{axis}": _smoothed(_ARCSEC_PER_MM * moved) for axis, moved in (("dy", dy), ("dz", dz))}
    header = {keyword: solution.keyword(keyword) for keyword in _HEADER}
    return Interval(name, header, gsprops, fidprops, sim, slots, slot_data)


def _smoothed(drift: _Floats) -> _Floats:
    """The running median of 21 samples, leaving out those that are NaN."""
    known = np.isfinite(drift)
    smoothed = np.full(len(drift), np.nan)
    smoothed[known] = running_median(drift[known], 21)
    return smoothed


def _solutions(folder: Path) -> list[Path]:
    """The aspect solutions in a folder of products or of processing, one of each name."""
    if not folder.is_dir():
        raise MissingDataError(f"{folder}: there is no such folder; give one with aspect level 1 products")

    def number(out: Path) -> int:
        digits = re.search(r"\d+$", out.name)
        return int(digits[0]) if digits else -1

    outs = [max(found, key=number) for one in sorted(folder.glob("ASP_L1_*")) if (found := sorted(one.glob("out*")))]
    paths = [path for one in outs or [folder] for path in sorted(one.glob("pcad*asol1.fits*"))]
    # The same name twice, gzipped and not, is one interval.
    names = {path.name.removesuffix(".gz"): path for path in paths if path.name.endswith((".fits", ".fits.gz"))}
    return list(names.values())


def _sibling(solution: Path, name: str, kind: str) -> ProductFile:
    for ending in (".fits.gz", ".fits"):
        path = solution.with_name(f"{name}_{kind}1{ending}")
        if path.exists():
            return ProductFile(path)
    raise MissingDataError(
        f"{solution.parent}: {name}_{kind}1.fits(.gz), which belongs to {solution.name}, is missing: "
        "fetch it, as all products of an aspect interval are needed"
    )
