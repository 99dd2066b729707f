"""Load reviews (starcheck), and what ran of the loads."""

from typing import Any

import pyarrow as pa

from mica_lake.tables.table import Column, Table

_I, _F, _T = pa.int32(), pa.float64(), pa.string()
_REPORT = "starcheck.txt, or starcheck.db3 table starcheck_"

LOAD = (
    Column("mp_dir", _T, "", "folder of the load: /2015/MAY1815/oflsb/ is load MAY1815B", "folder of starcheck.txt"),
    Column("load_tstart", _F, "s", "midnight of the load's date, CXC seconds; null if mp_dir has no date", "mp_dir"),
)
_OBS = (
    Column("obsid", _I, "", "the observation as planned", _REPORT + "obs"),
    Column("obs_idx", _I, "", "its place in the load, from 0", _REPORT + "obs"),
)


def _columns(source: str, *columns: tuple[str, pa.DataType, str, str]) -> tuple[Column, ...]:
    return tuple(Column(*column, _REPORT + source) for column in columns)


def _table(
    name: str, columns: tuple[Column, ...], order: tuple[str, ...] = ("mp_dir", "obs_idx"), **others: Any
) -> Table:
    return Table(
        name,
        ("year",),
        (*LOAD, *columns),
        row_group_rows=8192,
        time="load_tstart",
        searched=("mp_dir", "obsid"),
        order=order,
        product="starcheck",
        **others,
    )


STARCHECK_LOAD = _table(
    "starcheck_load",
    (
        Column("load", _T, "", "name of the load: MAY1815B; null if mp_dir has none", "mp_dir"),
        Column("mtime", _F, "s", "when the report was written, Unix time", "starcheck.txt, or starcheck_id.mtime"),
        Column("source", _T, "", "the file: a report, or the database", "name of the file"),
        Column("checksum", _T, "", "SHA-256 of the report, or of its rows in the database", "the file"),
    ),
    ("mp_dir",),
)

STARCHECK = _table(
    "starcheck",
    (
        *_OBS,
        *_columns(
            "obs",
            ("point_ra", _F, "deg", "right ascension"),
            ("point_dec", _F, "deg", "declination"),
            ("point_roll", _F, "deg", "roll"),
            ("target_id", _T, "", "the target; null of engineering requests"),
            ("sci_instr", _T, "", "the instrument"),
            ("sim_z_offset_steps", _I, "", "offset of the SIM in Z, motor steps"),
            ("sim_z_offset_mm", _F, "mm", "offset of the SIM in Z: steps * 1000 * 2.51432e-06"),
            ("grating", _T, "", "the grating"),
            ("dither_state", _T, "", "ON or OFF; null if not known"),
            ("dither_y_amp", _F, "arcsec", "amplitude of the dither in Y"),
            ("dither_y_period", _F, "s", "period of the dither in Y"),
            ("dither_z_amp", _F, "arcsec", "amplitude of the dither in Z"),
            ("dither_z_period", _F, "s", "period of the dither in Z"),
            ("mp_starcat_time", _T, "", "when the star catalog is commanded, UTC"),
            ("mp_starcat_vcdu_cnt", _I, "", "VCDU count of that"),
        ),
    ),
)

STARCHECK_MANVR = _table(
    "starcheck_manvr",
    (
        *_OBS,
        *_columns(
            "manvr",
            ("instance", _I, "", "which maneuver of the observation, from 0"),
            ("duration_sec", _F, "s", "how long it takes"),
            ("angle_deg", _F, "deg", "its angle"),
            ("slew_err_arcsec", _F, "arcsec", "always null, as in mica"),
            *((f"target_Q{n}", _F, "", f"component {n} of the target attitude's quaternion") for n in range(1, 5)),
            ("mp_targquat_time", _T, "", "when the target is commanded, UTC"),
            ("mp_targquat_vcdu_cnt", _I, "", "VCDU count of that"),
            ("end_date", _T, "", "when it ends, UTC"),
        ),
    ),
)

STARCHECK_CATALOG = _table(
    "starcheck_catalog",
    (
        *_OBS,
        *_columns(
            "catalog",
            ("mp_starcat_time", _T, "", "when the star catalog is commanded, UTC"),
            ("idx", _I, "", "number of the entry, from 1"),
            ("slot", _I, "", "the slot"),
            ("id", _I, "", "AGASC id of a star, number of a fid light; null of a monitor window"),
            ("idnote", _T, "", "what stands before the id"),
            ("type", _T, "", "FID, GUI, ACQ, BOT (both) or MON"),
            ("sz", _T, "", "size of the image: 4x4, 6x6 or 8x8"),
            ("p_acq", _F, "", "probability of acquisition"),
            ("minmag", _F, "mag", "least magnitude (brightest) of the search"),
            ("mag", _F, "mag", "magnitude"),
            ("maxmag", _F, "mag", "greatest magnitude (faintest) of the search"),
            ("yang", _I, "arcsec", "angle Y"),
            ("zang", _I, "arcsec", "angle Z"),
            ("dim", _I, "", "size of the search box, commanded"),
            ("res", _I, "", "resolution of the search, commanded"),
            ("halfw", _I, "arcsec", "half width of the search box"),
            ("pass", _T, "", "passes of the selection; -- if blank"),
            ("notes", _T, "", "notes of the selection; -- if blank"),
        ),
    ),
)

STARCHECK_WARNING = _table(
    "starcheck_warning",
    (
        *_OBS,
        *_columns(
            "warnings",
            ("warning", _T, "", "what the checks found"),
            ("idx", _I, "", "entry of the catalog that it is about, if one"),
            ("warning_type", _T, "", "its kind, if it has one"),
        ),
    ),
)

STARCHECK_PRED_TEMP = _table(
    "starcheck_pred_temp",
    (
        _OBS[0],
        *_columns("pred_temp", ("pred_ccd_temp", _F, "°C", "greatest temperature of the CCD that is predicted")),
    ),
    ("mp_dir",),
)

OBSERVATION = Table(
    "observation",
    (),
    (
        Column("obsid", _I, "", "the observation as commanded", "observations.csv"),
        Column("manvr_start", _T, "", "start of the maneuver to it, UTC", "observations.csv"),
        Column("obs_start", _T, "", "start, UTC", "observations.csv"),
        Column("obs_stop", _T, "", "stop, UTC", "observations.csv"),
        Column(
            "starcat_date", _T, "", "when its star catalog was commanded, UTC; null if none was", "observations.csv"
        ),
        Column("source", _T, "", "the load, or CMD_EVT for commands from no load", "observations.csv"),
        Column("mp_dir", _T, "", "folder of the load; null for commands from no load", "source"),
        Column("tstart", _F, "s", "start, CXC seconds", "obs_start"),
        Column("tstop", _F, "s", "stop, CXC seconds", "obs_stop"),
    ),
    row_group_rows=8192,
    time="tstart",
    searched=("obsid", "tstart"),
    order=("tstart",),
    order_within=("obsid",),
    product="starcheck",
)

TABLES = (
    STARCHECK, STARCHECK_LOAD, STARCHECK_CATALOG, STARCHECK_MANVR, STARCHECK_WARNING, STARCHECK_PRED_TEMP, OBSERVATION
)  # fmt: skip
