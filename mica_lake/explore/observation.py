"""What the lake has of an observation: tables, and what is said where there are none."""

from dataclasses import dataclass
from typing import Any

import polars as pl

from mica_lake.errors import MissingDataError
from mica_lake.explore.question import Field, Points, Question, fields
from mica_lake.formats.starcheck import load_name
from mica_lake.lake import Lake
from mica_lake.starcheck import get_mp_dir

__all__ = ["Observation", "Temperature", "interval_of", "observation"]

# The released revision, or else the last, and the year in whose files its parameters are.
_REVISION = """
    SELECT revision, year(utc_day(tstart)) AS year
    FROM obspar
    WHERE obsid = $obsid
    ORDER BY isdefault DESC, revision DESC
    LIMIT 1
"""
_PARAMETERS = """
    SELECT name, value, description, revision
    FROM obspar_kv_of_year($year)
    WHERE obsid = $obsid AND revision = $revision
"""
_PLANNED = """
    SELECT
        target_id, sci_instr, grating, point_ra, point_dec, point_roll, dither_state, dither_y_amp, dither_z_amp,
        dither_y_period, dither_z_period, sim_z_offset_steps, mp_starcat_time, pred_ccd_temp
    FROM starcheck
    LEFT JOIN (SELECT mp_dir, obsid, max(pred_ccd_temp) AS pred_ccd_temp FROM starcheck_pred_temp GROUP BY ALL)
        USING (mp_dir, obsid)
    WHERE mp_dir = $mp_dir AND obsid = $obsid
    ORDER BY obs_idx
    LIMIT 1
"""
_CATALOG = """
    SELECT
        idx, slot, id, type, sz, p_acq, mag, maxmag, yang, zang, halfw,
        idx IN (
            SELECT idx
            FROM starcheck_warning
            WHERE mp_dir = $mp_dir AND obsid = $obsid AND idx IS NOT NULL
                AND contains(lower(concat(warning_type, warning)), 'spoiler')
        ) AS spoiler
    FROM starcheck_catalog
    WHERE mp_dir = $mp_dir AND obsid = $obsid
    ORDER BY obs_idx, idx
"""
_FINDINGS = """
    SELECT idx, trim(warning_type) AS kind, trim(warning) AS finding
    FROM starcheck_warning
    WHERE mp_dir = $mp_dir AND obsid = $obsid
    ORDER BY obs_idx, idx
"""
# Where nothing is tracked before the transition to guiding, what is seen there is 0, which says nothing.
_ACQUIRED = """
    SELECT
        slot, idx, type, agasc_id, halfw, mag, if(tracked, mag_obs, NULL) AS mag_obs, acqid, img_func, spoiler_tracked,
        if(tracked, dy, NULL) AS dy, if(tracked, dz, NULL) AS dz, if(tracked, yang_obs, NULL) AS yang_obs,
        if(tracked, zang_obs, NULL) AS zang_obs, known_bad, bad_comment
    FROM (SELECT *, img_func IN ('star', 'spoiler') AS tracked FROM acq_stats)
    WHERE obsid = $obsid
    ORDER BY slot, position
"""
_GUIDED = """
    SELECT
        slot, idx, type, agasc_id, sz, mag, aoacmag_mean, aoacmag_std, f_track, f_within_1, dy_mean, dy_std, dz_mean,
        dz_std, known_bad, bad_comment
    FROM guide_stats
    WHERE obsid = $obsid
    ORDER BY slot, position
"""
_OF_DEFAULT = """
    obsid = $obsid AND revision = (
        SELECT revision FROM vv_rms WHERE obsid = $obsid ORDER BY isdefault DESC, revision DESC LIMIT 1
    )
"""
_RESIDUALS = f"""
    SELECT
        slot, type, revision, isdefault, n_pts, dy_med, dz_med, dy_rms, dz_rms, rad_off, frac_dy_big, frac_dz_big,
        frac_mag_big, mag_med
    FROM vv_rms
    WHERE {_OF_DEFAULT}
    ORDER BY slot, position
"""
_OUTSIDE = f"""
    SELECT slot, name, level, value, "limit"
    FROM vv_outside
    WHERE {_OF_DEFAULT}
    ORDER BY slot, name
"""
# Which tables know when an observation was, the surest first.
_WHEN = """
    SELECT tstart, tstop
    FROM (
        SELECT 0 AS rank, tstart, tstop FROM obspar WHERE obsid = $obsid AND isdefault
        UNION ALL
        SELECT 1, tstart, tstop FROM obspar WHERE obsid = $obsid AND islast
        UNION ALL
        SELECT 2, tstart, tstop FROM observation WHERE obsid = $obsid
        UNION ALL
        SELECT 3, kalman_tstart, npnt_tstop FROM guide_stats WHERE obsid = $obsid
        UNION ALL
        SELECT 4, tstart, tstop FROM vv_rms WHERE obsid = $obsid
    ) AS known
    WHERE tstart <= tstop AND isfinite(tstart) AND isfinite(tstop)
    ORDER BY rank, tstart DESC
    LIMIT 1
"""


@dataclass(frozen=True)
class Temperature:
    """
    The temperature of the CCD over an observation, of the readouts with a header 3 that has it.

    Attributes
    ----------
    field : Field
        What it is, with its unit.
    points : Points
        What to draw of it.
    count : int
        How many values there are.
    least, mean, greatest : float
        Of the values (°C).
    """

    field: Field
    points: Points
    count: int
    least: float
    mean: float
    greatest: float


@dataclass(frozen=True)
class Observation:
    """
    What the lake has of an observation.

    A table without rows means that the lake has none of it.

    Attributes
    ----------
    obsid : int
        The observation, as commanded.
    parameters : polars.DataFrame
        Observation parameters: name, value (text), description and revision, the default or else the last.
    start, stop : float or None
        CXC seconds; None if no table says when it was.
    load : str or None
        The load whose review is shown.
    status : str or None
        Whether it ran, as from `mica_lake.starcheck.get_mp_dir`.
    planned : polars.DataFrame
        Its header in the load review, at most a row.
    catalog : polars.DataFrame
        A row for each entry of the star catalog; spoiler is whether a finding about it is of a spoiler.
    findings : polars.DataFrame
        What the checks of the load review found.
    acquired, guided : polars.DataFrame
        Acquisition and guide statistics, a row for each star or fid light; null is what was seen where nothing was.
    residuals : polars.DataFrame
        V&V, a row for each slot of the default revision, or else the last; isdefault says which of the two.
    outside : polars.DataFrame
        The residuals outside their limits: slot, name, level, value, limit.
    temperature : Temperature or None
        The temperature of the CCD; None if there is none of its time.
    """

    obsid: int
    parameters: pl.DataFrame
    start: float | None
    stop: float | None
    load: str | None
    status: str | None
    planned: pl.DataFrame
    catalog: pl.DataFrame
    findings: pl.DataFrame
    acquired: pl.DataFrame
    guided: pl.DataFrame
    residuals: pl.DataFrame
    outside: pl.DataFrame
    temperature: Temperature | None

    def parameter(self, name: str) -> str:
        """The value of an observation parameter; empty if there is none."""
        found = self.parameters.filter(pl.col("name") == name)["value"].to_list()
        return (found[0] or "") if found else ""


def observation(lake: Lake, obsid: int) -> Observation:
    """
    What the lake has of an observation.

    Parameters
    ----------
    lake : Lake
        The lake.
    obsid : int
        The observation.

    Returns
    -------
    Observation
        Its tables.

    Raises
    ------
    MissingDataError
        If the lake has nothing of it.

    Examples
    --------
    >>> from mica_lake import Lake
    >>> one = observation(demo_lake(), 32448)
    >>> one.parameter("detector"), one.catalog.height, one.outside.height
    ('HRC-I', 8, 0)
    """

    def rows(query: str, **params: Any) -> pl.DataFrame:
        return pl.DataFrame(lake.arrow(query, {"obsid": obsid, **params}))

    ((revision, year),) = rows(_REVISION).rows() or [(-1, 0)]
    mp_dir, status, _ = get_mp_dir(obsid, lake.root)
    of_load = {"mp_dir": mp_dir or ""}
    found = {
        "parameters": rows(_PARAMETERS, revision=revision, year=year),
        "planned": rows(_PLANNED, **of_load),
        "catalog": rows(_CATALOG, **of_load),
        "findings": rows(_FINDINGS, **of_load),
        "acquired": rows(_ACQUIRED),
        "guided": rows(_GUIDED),
        "residuals": rows(_RESIDUALS),
        "outside": rows(_OUTSIDE),
    }
    start, stop = _when(lake, obsid)
    if start is None and not any(table.height for table in found.values()):
        raise MissingDataError(f"the lake {lake.root} has nothing of obsid {obsid}")
    temperature = None if start is None or stop is None else _temperature(lake, start, stop)
    load = None if mp_dir is None else load_name(mp_dir) or mp_dir
    return Observation(obsid, start=start, stop=stop, load=load, status=status, temperature=temperature, **found)


def _when(lake: Lake, obsid: int) -> tuple[float, float] | tuple[None, None]:
    known = lake.sql(_WHEN, {"obsid": obsid}).fetchall()
    return known[0] if known else (None, None)


def interval_of(lake: Lake, obsid: int) -> tuple[float, float]:
    """
    Start and stop of an observation (CXC seconds).

    Examples
    --------
    >>> from mica_lake import Lake
    >>> start, stop = interval_of(demo_lake(), 32448)
    >>> round(stop - start)
    26003
    """
    start, stop = _when(lake, obsid)
    if start is None or stop is None:
        raise MissingDataError(f"no table of the lake {lake.root} says when obsid {obsid} was")
    return start, stop


def _temperature(lake: Lake, start: float, stop: float) -> Temperature | None:
    """The temperature from start to stop; None if no readout has it."""
    known = fields(lake, "hdr3")["ccd_temp"]
    ((count, least, mean, greatest),) = lake.sql(
        "SELECT count(ccd_temp), min(ccd_temp), avg(ccd_temp), max(ccd_temp) FROM hdr3_data($start, $stop)",
        {"start": start, "stop": stop},
    ).fetchall()
    if not count:
        return None
    asked = Question(lake, "hdr3", str(start), str(stop), [known.name])
    return Temperature(known, asked.points[known.name], count, least, mean, greatest)
