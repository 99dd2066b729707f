"""V&V of observations in the lake: stored reports and residuals, and residuals computed from the files."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mica_lake.archive import asp_l1, obspar, revisions
from mica_lake.errors import MissingDataError
from mica_lake.lake import open_lake
from mica_lake.stats.structured import rows_of
from mica_lake.vv.obi import Obi

__all__ = ["get_arch_vv", "get_rms_data", "get_vv", "get_vv_dir", "get_vv_files", "rms_rows"]

Root = str | os.PathLike[str] | None


def get_rms_data(data_root: Root = None) -> NDArray[np.void]:
    """
    Residuals of all slots of all observations and revisions.

    Parameters
    ----------
    data_root : path, optional
        The lake; `mica_lake.lake.default_root` by default.

    Returns
    -------
    numpy.ndarray
        A structured array with a row for each slot with data, of the type ``row_dtype("vv_rms")`` of
        `mica_lake.tables.stat_columns`: first the rows of ``vv.h5`` in its order, then those that
        ``mica-lake vv --ingest`` computed, by time.

    Raises
    ------
    mica_lake.LakeError
        If there is no lake.

    Examples
    --------
    >>> data = get_rms_data(data_root=demo_lake().root)
    >>> data[data["obsid"] == 32448]["slot"]
    array([0, 1, 2, 3, 4, 5, 6, 7], dtype=int32)
    """
    return rows_of("vv_rms", False, data_root)


def get_vv(obsid: int, version: Any = "default", data_root: Root = None) -> dict[str, Any]:
    """
    V&V report of an observation.

    Parameters
    ----------
    obsid : int
        The observation.
    version : {'default', 'last'} or int
        Which revision of its aspect products, by the aspect processing table.
    data_root : path, optional
        The lake; `mica_lake.lake.default_root` by default.

    Returns
    -------
    dict
        As from `Obi.info`.

    Raises
    ------
    MissingDataError
        A LookupError: if there is no such observation, revision or report.
    ValueError
        If the version is not valid.
    mica_lake.LakeError
        If there is no lake.

    Examples
    --------
    >>> get_vv(32448, data_root=demo_lake().root)["slots"]["3"]["type"]
    'GUIDE'
    """
    report: dict[str, Any] = json.loads(_found(obsid, version, "report", data_root))
    return report


def get_vv_dir(obsid: int, version: Any = "default", data_root: Root = None) -> str:
    """
    Folder of an observation's V&V products.

    Parameters
    ----------
    obsid, version, data_root
        As for `get_vv`.

    Returns
    -------
    str
        The folder, where ingest last found it.

    Raises
    ------
    MissingDataError
        A LookupError: if there is no such observation, revision or report, or the report has no folder because the
        lake computed it.
    ValueError, mica_lake.LakeError
        As for `get_vv`.

    Examples
    --------
    >>> Path(get_vv_dir(32448, data_root=demo_lake().root)).name
    '32448_v02'
    """
    folder: str | None = _found(obsid, version, "directory", data_root)
    if folder is None:
        raise MissingDataError(
            f"the V&V of obsid {obsid}, version {version!r}, has no folder, as 'mica-lake vv --ingest' computed it: "
            "get_vv returns the report, 'mica-lake vv OBSID --plots FOLDER' writes a folder"
        )
    return folder


def get_vv_files(obsid: int, version: Any = "default", data_root: Root = None) -> list[str]:
    """
    Files of an observation's V&V products.

    Parameters
    ----------
    obsid, version, data_root
        As for `get_vv`.

    Returns
    -------
    list of str
        Paths of everything that is now in its folder, by name.

    Raises
    ------
    MissingDataError
        A LookupError: as for `get_vv_dir`, or if the folder no longer exists.
    ValueError, mica_lake.LakeError
        As for `get_vv`.

    Examples
    --------
    >>> [Path(path).name for path in get_vv_files(32448, data_root=demo_lake().root)]
    ['vv_report.json']
    """
    folder = Path(get_vv_dir(obsid, version, data_root))
    try:
        return sorted(str(path) for path in folder.iterdir())
    except OSError as error:
        raise MissingDataError(
            f"{folder} cannot be listed ({error.strerror}): ingest vv from where the folder is now"
        ) from None


def _found(obsid: int, version: Any, column: str, data_root: Root) -> Any:
    """A column of the report of a version."""
    condition, params = revisions.chosen_one(version)
    lake = open_lake(data_root)
    if not params:
        rows = lake.sql("FROM asp_l1_revisions($obsid)", {"obsid": revisions.number(obsid)}).fetchall()
        chosen = [revision for revision, isdefault, *_ in rows if isdefault or condition == "islast"]
        if not chosen:
            raise MissingDataError(
                f"obsid {obsid} has no revision {version!r} of aspect products in the lake; it has "
                f"{', '.join(str(revision) for revision, *_ in rows) or 'none'} ('mica-lake ingest asp_l1' takes them)"
            )
        params = {"revision": max(chosen)}
    query = f"SELECT {column} FROM vv_report WHERE obsid = $obsid AND revision = $revision"
    reports = lake.sql(query, {"obsid": revisions.number(obsid), **params}).fetchall()
    if not reports:
        raise MissingDataError(
            f"the lake has no V&V report of obsid {obsid}, revision {params['revision']}: 'mica-lake ingest vv' takes "
            f"that of the archive, 'mica-lake vv {obsid} --version {params['revision']} --ingest' computes one"
        )
    return reports[0][0]


def get_arch_vv(obsid: int, version: Any = "last", data_root: Root = None) -> Obi:
    """
    Residuals of an observation, computed from its products where ingest found them.

    Parameters
    ----------
    obsid : int
        The observation.
    version : {'default', 'last'} or int
        Which revision of its aspect products. The obspar is the one that these were made with, by the aspect
        processing table.
    data_root : path, optional
        The lake; `mica_lake.lake.default_root` by default.

    Returns
    -------
    Obi
        Its residuals. If the processing table does not say which obspar it was, the default one is used or, if there
        is none, the last, and ``errors`` says so.

    Raises
    ------
    MissingDataError
        If the lake does not have these products or that obspar, or a file no longer exists.
    ValueError
        If the version is not valid, or a file is damaged.

    Examples
    --------
    >>> get_arch_vv(32448, data_root=demo_lake().root).slot_report["3"]["type"]
    'GUIDE'
    """
    condition, params = revisions.chosen_one(version)
    dirs = asp_l1.get_obs_dirs(obsid, data_root) or {}
    folder = dirs.get(params["revision"] if params else condition.removeprefix("is"))
    if folder is None:
        revised = ", ".join(map(str, dirs.get("revisions", []))) or "none"
        raise MissingDataError(
            f"the lake has no aspect products of obsid {obsid}, version {version!r}; it has {revised}"
        )
    lake = open_lake(data_root)
    query = f"""
        SELECT made.revision, proc.aspect_1_id, proc.ap_date, proc.obspar_version
        FROM (SELECT DISTINCT obsid, revision FROM asp_l1_file WHERE obsid = $obsid AND {condition}) AS made
        LEFT JOIN asp_l1_proc AS proc USING (obsid, revision)
        ORDER BY proc.aspect_1_id DESC
    """
    revision, aspect_1_id, ap_date, obspar_version = lake.sql(
        query, {"obsid": revisions.number(obsid), **params}
    ).fetchall()[0]
    if obspar_version is None:
        file = obspar.get_obspar_file(obsid, "default", data_root) or obspar.get_obspar_file(obsid, "last", data_root)
    else:
        file = obspar.get_obspar_file(obsid, obspar_version, data_root)
    if file is None:
        which = (
            "" if obspar_version is None else f", revision {obspar_version}, which its aspect products were made with"
        )
        raise MissingDataError(f"the lake has no obspar of obsid {obsid}{which}: 'mica-lake ingest obspar' takes it")
    obi = Obi(file, folder)
    obi.aspect_1_id, obi.ap_date = aspect_1_id, ap_date
    if obspar_version is None:
        obi.errors.append(
            f"Warning: the aspect processing table does not say which obspar revision {revision} of obsid {obsid} was "
            f"made with: {Path(file).name} is used"
        )
    return obi


def rms_rows(obi: Obi, data_root: Root = None) -> list[dict[str, int | float | str]]:
    """
    Rows of the table ``vv_rms``, completed with what the lake knows about the observation.

    Parameters
    ----------
    obi : Obi
        The residuals.
    data_root : path, optional
        The lake; `mica_lake.lake.default_root` by default.

    Returns
    -------
    list of dict
        As from `Obi.rms_rows`. Number and date of the processing are those of the newest one of this revision in the
        aspect processing table, or 0 and an empty str; the mean temperature of the CCD is over all readouts of the
        observation, NaN if the lake has none.

    Raises
    ------
    mica_lake.LakeError
        If there is no lake.

    Examples
    --------
    >>> rows = rms_rows(get_arch_vv(32448, data_root=demo_lake().root), demo_lake().root)
    >>> rows[0]["aspect_1_id"], -12 < rows[0]["mean_aacccdpt"] < -5
    (3244802, True)
    """
    lake, info = open_lake(data_root), obi.info()
    query = "SELECT isdefault, aspect_1_id, ap_date FROM asp_l1_revisions($obsid) WHERE revision = $revision"
    rows = lake.sql(query, {"obsid": info["obsid"], "revision": info["revision"]}).fetchall()
    _, aspect_1_id, ap_date = rows[-1] if rows else (False, None, None)
    between = {"start": float(info["tstart"]), "stop": float(info["tstop"])}
    (celsius,) = lake.sql("FROM mean_ccd_temp($start, $stop)", between).fetchall()[0]
    return obi.rms_rows(
        isdefault=int(any(isdefault for isdefault, *_ in rows)),
        aspect_1_id=aspect_1_id or 0,
        ap_date=ap_date or "",
        mean_aacccdpt=float("nan") if celsius is None else celsius,
    )
