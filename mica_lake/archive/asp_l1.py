"""Aspect level 1: the functions of ``mica.archive.asp_l1``, answered by the views and macros of `sql/asp_l1.sql`."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from astropy.io import fits
from numpy.typing import NDArray

from mica_lake.archive import revisions
from mica_lake.archive.arrays import values_and_mask
from mica_lake.buffers import numbers
from mica_lake.errors import MissingDataError
from mica_lake.formats.fits_product import ProductFile
from mica_lake.lake import open_lake
from mica_lake.times import open_interval

__all__ = ["get_atts", "get_atts_from_files", "get_dir", "get_files", "get_obs_dirs"]

# A solution is only as good as the quality samples within this time of it (s): their spacing.
_QUALITY_SPACING = 1.025
# How far outside the times in its header the solutions of an interval may lie (s).
_MARGIN = 10.0
# Larger products numpy's linear algebra shares out to threads, which costs more than it saves.
_TOGETHER = 4096


_REVISIONS = revisions.Revisions("asp_l1_file", kinds=True)
get_dir = _REVISIONS.get_dir
get_obs_dirs = _REVISIONS.get_obs_dirs
get_files = _REVISIONS.get_files


def get_atts(
    obsid: int | None = None,
    start: Any = None,
    stop: Any = None,
    revision: Any = None,
    filter: bool = True,
    data_root: revisions.Root = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64], list[fits.Header]]:
    """
    Attitudes of the ACA from the aspect solutions of an observation or a time range.

    Parameters
    ----------
    obsid : int, optional
        The observation.
    start, stop : time, optional
        Solutions with start <= time <= stop.
    revision : {None, 'last'} or int
        Which revision; the default one by default.
    filter : bool
        Whether to leave out solutions within 1.025 s of a bad aspect status, and those whose status is not known.
    data_root : path, optional
        The lake; `mica_lake.lake.default_root` by default.

    Returns
    -------
    atts : numpy.ndarray of float64, shape (n, 4)
        Quaternions with the scalar last: that of the solution times the inverse of the ACA's misalignment. The
        solution is ``q_att_raw`` if there is one, otherwise ``q_att``.
    times : numpy.ndarray of float64, shape (n,)
        CXC seconds, ascending.
    headers : list of astropy.io.fits.Header
        Headers of the solutions, one for each aspect interval that overlaps the range: that has solutions in it, or
        whose header has TSTART < stop and TSTOP > start.

    Raises
    ------
    TypeError
        If neither an obsid nor both times are given.
    ValueError
        If a time or revision is not valid, or stop is before start. Revision 'all' is not valid, as each time would
        come more than once.
    MissingDataError
        If an aspect interval has no misalignment (no ACACAL product).
    """
    if obsid is None and (start is None or stop is None):
        raise TypeError("give an obsid, or both start and stop")
    condition, params = revisions.chosen_one(revision)
    first, last = open_interval(start, stop)
    lake = open_lake(data_root)
    values: dict[str, Any] = {
        **params,
        "start": 0.0 if first is None else first,
        "stop": 6.3e9 if last is None else last,
        "margin": _MARGIN,
    }
    if obsid is not None:
        condition += " AND obsid = $obsid"
        values["obsid"] = revisions.number(obsid)
    intervals = lake.sql(
        f"""
        SELECT obsid, revision, interval, any_value(tstart), any_value(tstop), any_value(filename), any_value(header),
            any_value(misalign)
        FROM (
            SELECT *, any_value(aca_misalign) OVER (PARTITION BY obsid, revision, interval) AS misalign
            FROM asp_l1_file
            WHERE {condition} AND tstart - $margin <= $stop AND tstop + $margin >= $start
        )
        WHERE content = 'ASPSOL'
        GROUP BY obsid, revision, interval
        ORDER BY any_value(tstart), obsid, revision
        """,
        values,
    ).fetchall()
    all_atts, all_times, headers = [np.empty((0, 4))], [np.empty(0)], []
    good = "AND asp_sol_status = 0" if filter else ""
    for found_obsid, found_revision, interval, tstart, tstop, filename, header, misalign in intervals:
        between = {"start": max(tstart - _MARGIN, values["start"]), "stop": min(tstop + _MARGIN, values["stop"])}
        rows = lake.arrow(
            f"""
            SELECT time, coalesce(q_att_raw, q_att) AS q
            FROM read_parquet($files, hive_partitioning = false)
            WHERE time BETWEEN $start AND $stop
                AND obsid = $obsid AND revision = $revision AND filename = $filename {good}
            """,
            {
                # Macro asp_sol_revisions finds the same ones, in as much time as it takes to read them.
                "files": lake.files("asp_sol", **between),
                **between,
                "obsid": found_obsid,
                "revision": found_revision,
                "filename": filename,
            },
        )
        if not len(rows) and not (tstart < values["stop"] and tstop > values["start"]):
            continue
        if misalign is None:
            raise MissingDataError(f"obsid {found_obsid}: aspect interval {interval} has no misalignment (ACACAL)")
        all_times.append(values_and_mask(rows.column("time"), np.dtype(float))[0])
        all_atts.append(_times_inverse(_quaternions(rows.column("q")), np.array(misalign).reshape(3, 3)))
        headers.append(fits.Header.fromstring(header, sep="\n"))
    return np.concatenate(all_atts), np.concatenate(all_times), headers


def get_atts_from_files(
    asol_files: Sequence[str | os.PathLike[str]],
    acal_files: Sequence[str | os.PathLike[str]],
    aqual_files: Sequence[str | os.PathLike[str]],
    filter: bool = True,
) -> tuple[NDArray[np.float64], NDArray[np.float64], list[fits.Header]]:
    """
    Attitudes of the ACA from aspect product files, without a lake.

    Parameters
    ----------
    asol_files, acal_files, aqual_files : sequence of path
        The ASPSOL, ACACAL and ASPQUAL file of each aspect interval, in time order.
    filter : bool
        Whether to leave out solutions within 1.025 s of a bad aspect status.

    Returns
    -------
    atts, times, headers
        As from `get_atts`.

    Raises
    ------
    ValueError
        If there are not equally many files of each kind, the files of an interval differ in their times (by more than
        10 s), or one is damaged or of another kind.
    OSError
        If a file cannot be read.

    Examples
    --------
    >>> lake = demo_lake().root
    >>> files = [get_files(32448, content=kind, data_root=lake) for kind in ("ASPSOL", "ACACAL", "ASPQUAL")]
    >>> atts, times, headers = get_atts_from_files(*files)
    >>> np.array_equal(times, get_atts(32448, data_root=lake)[1])
    True
    """
    counts = len(asol_files), len(acal_files), len(aqual_files)
    if len(set(counts)) > 1:
        raise ValueError(
            "{} asol_files, {} acal_files and {} aqual_files: give one of each for each interval".format(*counts)
        )
    all_atts, all_times, headers = [np.empty((0, 4))], [np.empty(0)], []
    for files in zip(asol_files, acal_files, aqual_files, strict=True):
        solution, calibration, quality = map(ProductFile, files)
        tstart, tstop = solution.number("TSTART"), solution.number("TSTOP")
        for other in (calibration, quality):
            apart = max(abs(other.number("TSTART") - tstart), abs(other.number("TSTOP") - tstop))
            if apart > _MARGIN:
                raise ValueError(f"{other.path} and {solution.path} are of different times: they are {apart:g} s apart")
        times, q = solution.column("time").astype(float), solution.column("q_att_raw", "q_att").astype(float)
        if not len(calibration.data):
            raise ValueError(f"{calibration.path}: it has no rows, so there is no misalignment: fetch the file again")
        if filter:
            good = np.ones(len(times), bool)
            sampled, status = quality.column("time"), quality.column("asp_sol_status")
            for bad in sampled[status != 0]:
                good &= ~((times >= bad - _QUALITY_SPACING) & (times <= bad + _QUALITY_SPACING))
            times, q = times[good], q[good]
        misalign = calibration.column("aca_misalign")[0].reshape(3, 3)
        all_times.append(times)
        all_atts.append(_times_inverse(q.reshape(-1, 4), misalign))
        headers.append(solution.header)
    return np.concatenate(all_atts), np.concatenate(all_times), headers


def _quaternions(column: pa.ChunkedArray) -> NDArray[np.float64]:
    flat = [numbers(chunk.flatten()) for chunk in column.chunks]
    return np.concatenate([np.empty(0), *flat]).reshape(-1, 4)


def _times_inverse(q: NDArray[np.float64], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Quaternions `q` times the inverse of a rotation matrix, in the order in which matrices would be multiplied."""
    m = matrix
    # Of the four ways to compute a quaternion, the one with the largest divisor (Shepperd, 1978).
    squares = np.array([m[0, 0], m[1, 1], m[2, 2], np.trace(m)])
    i = int(np.argmax(squares))
    if i == 3:
        p = np.array([m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1], 1 + squares[3]])
    else:
        j, k = (i + 1) % 3, (i + 2) % 3
        p = np.zeros(4)
        p[i], p[j], p[k] = 1 + 2 * m[i, i] - squares[3], m[j, i] + m[i, j], m[k, i] + m[i, k]
        p[3] = m[k, j] - m[j, k]
    x, y, z, w = p / np.linalg.norm(p) * [-1, -1, -1, 1]
    right = np.array([[w, -z, y, -x], [z, w, -x, -y], [-y, x, w, -z], [x, y, z, w]])
    product = np.empty(q.shape)
    for first in range(0, len(q), _TOGETHER):
        part = slice(first, first + _TOGETHER)
        np.matmul(q[part], right, out=product[part])
    return product
