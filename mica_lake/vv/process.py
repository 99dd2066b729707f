"""Which observations have aspect products and no V&V, and computing it: what ``mica-lake vv --missing`` does."""

import os

from mica_lake.lake import open_lake
from mica_lake.vv.archive import get_arch_vv, rms_rows

__all__ = ["missing", "process"]

Root = str | os.PathLike[str] | None


def missing(data_root: Root = None) -> list[tuple[int, int]]:
    """
    Observations whose aspect products, the released or the last ones, have no V&V.

    Parameters
    ----------
    data_root : path, optional
        The lake; `mica_lake.lake.default_root` by default.

    Returns
    -------
    list of tuple of int
        Obsid and revision of each that has no report or no row of residuals, by obsid.

    Raises
    ------
    mica_lake.LakeError
        If there is no lake.

    Examples
    --------
    >>> missing(demo_lake().root)
    []
    """
    found = open_lake(data_root).sql(
        """
        SELECT DISTINCT obsid, revision FROM asp_l1_file WHERE islast OR isdefault
        EXCEPT (SELECT obsid, revision FROM vv_report INTERSECT SELECT obsid, revision FROM vv_rms)
        ORDER BY obsid, revision
        """
    )
    return [(int(obsid), int(revision)) for obsid, revision in found.fetchall()]


def process(
    obsid: int, version: str | int = "last", data_root: Root = None
) -> tuple[str, list[dict[str, int | float | str]]]:
    """
    V&V of an observation, computed from its products where ingest found them.

    Parameters
    ----------
    obsid, version, data_root
        As for `mica_lake.vv.get_arch_vv`.

    Returns
    -------
    report : str
        The report, JSON.
    rows : list of dict
        The rows of residuals, as of ``vv_rms``.

    Raises
    ------
    MissingDataError, ValueError
        As for `mica_lake.vv.get_arch_vv`.

    Examples
    --------
    >>> report, rows = process(32448, data_root=demo_lake().root)
    >>> len(rows), rows[0]["obsid"]
    (8, 32448)
    """
    obi = get_arch_vv(obsid, version, data_root)
    return obi.report(), rms_rows(obi, data_root)
