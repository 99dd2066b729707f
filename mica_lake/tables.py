"""The tables of the lake: each column's name, type, unit, meaning and source, declared here and nowhere else."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa

from mica_lake.hdr3_msids import DEFINITIONS, PSEUDO_MSIDS
from mica_lake.stat_columns import columns_of

ALL_SIZES = (4, 6, 8)
# Seconds. Readouts of a slot are at least 1.025 s apart; the same one has the same time in every file but for the
# clock's fit.
SAME_READOUT = 0.1


@dataclass(frozen=True)
class Column:
    """
    A column of a table.

    Attributes
    ----------
    name : str
        Its name, that of the source where it has one.
    type : pyarrow.DataType
        Its type in the lake.
    unit : str
        Its unit, empty where it has none.
    meaning : str
        What it is.
    source : str
        Where it comes from.
    imgsizes : tuple of int
        The image sizes that have it; null for the others.
    """

    name: str
    type: pa.DataType
    unit: str
    meaning: str
    source: str
    imgsizes: tuple[int, ...] = ALL_SIZES


@dataclass(frozen=True)
class Table:
    """
    A table of the lake.

    Attributes
    ----------
    name : str
        Its name: the folder below the lake and the ingest job have it, too.
    keys : tuple of str
        What its directories are partitioned by: year, doy and slot, year and doy, year, or nothing.
    columns : tuple of Column
        Its columns, in order. A wide table has those after them that its sources have: see `wide`.
    row_group_rows : int
        Rows that a query reads or skips together; measured, see docs/performance.md.
    time : str
        The column whose times say what a partition covers.
    searched : tuple of str
        Columns with statistics, by which a query skips row groups.
    names_sources : bool
        Whether a partition's metadata lists its source files.
    wide : bool
        Whether it has a column for each key that is met in its sources. All its partitions have the same columns.
    order : tuple of str
        Columns by which its rows are sorted.
    order_within : tuple of str
        Columns within whose equal values they are; in all of a partition by default.
    product : str
        What `mica-lake ingest` takes to make it, if that is not its name.
    definitions : str
        What its values are computed by, beside the columns' units: calibrations, rules.
    """

    name: str
    keys: tuple[str, ...]
    columns: tuple[Column, ...]
    row_group_rows: int
    time: str = "TIME"
    searched: tuple[str, ...] = ("TIME",)
    names_sources: bool = False
    wide: bool = False
    order: tuple[str, ...] = ()
    order_within: tuple[str, ...] = ()
    product: str = ""
    definitions: str = ""

    @property
    def ingested_as(self) -> str:
        """What `mica-lake ingest` takes to make it."""
        return self.product or self.name

    @cached_property
    def schema(self) -> pa.Schema:
        """The Arrow schema of a partition."""
        return pa.schema([pa.field(c.name, c.type) for c in self.columns])

    @cached_property
    def definition(self) -> str:
        """Checksum of what its values mean; a partition made by another one is made anew by the next ingest."""
        columns = [[c.name, str(c.type), c.unit] for c in self.columns]
        return hashlib.sha256(json.dumps([columns, self.definitions]).encode()).hexdigest()[:16]

    @cached_property
    def by_name(self) -> dict[str, Column]:
        """The columns by name."""
        return {c.name: c for c in self.columns}


def _aca_l0() -> tuple[Column, ...]:
    u1, i2, i4, f4, f8 = pa.uint8(), pa.int16(), pa.int32(), pa.float32(), pa.float64()
    text = pa.string()

    def header(name: str, type_: pa.DataType, unit: str, meaning: str, sizes: tuple[int, ...] = ALL_SIZES) -> Column:
        return Column(name, type_, unit, meaning, f"ACA L0 column {name}", sizes)

    return (
        header("TIME", f8, "s", "time of the readout, CXC seconds (TT since 1998-01-01)"),
        header("QUALITY", i4, "", "0 good, 1 bad"),
        header("MJF", i4, "", "major frame counter, 0 to 131071"),
        header("MNF", i4, "", "minor frame counter, 0 to 127"),
        header("END_INTEG_TIME", f8, "s", "end of the integration, CXC seconds"),
        header("INTEG", f4, "s", "integration time"),
        Column("PIXTLM", text, "", "pixel telemetry type", "ACA L0 column PIXTLM; ORIG where the file has none"),
        Column("BGDTYP", text, "", "type of the background subtracted", "ACA L0 column BGDTYP; FLAT where none"),
        header("GLBSTAT", u1, "", "global status, eight flags"),
        header("COMMCNT", u1, "", "command count (bits 2-7), checksum failure (bit 0), syntax error (bit 1)"),
        header("COMMPROG", u1, "", "command progress (bits 2-7), repeats (bits 0-1)"),
        header("IMGFID1", u1, "", "1 for a fid light, 0 for a star"),
        header("IMGNUM1", u1, "", "image number: the slot"),
        header("IMGFUNC1", u1, "", "image function, 1 while tracking"),
        header("IMGSTAT", u1, "", "image status, six flags"),
        header("IMGROW0", i2, "pixel", "CCD row of the lower left pixel"),
        header("IMGCOL0", i2, "pixel", "CCD column of the lower left pixel"),
        header("IMGSCALE", i4, "", "scale of the pixels, 0 to 1023"),
        header("BGDAVG", i4, "DN", "average background"),
        header("IMGFID2", u1, "", "as IMGFID1, of the second quarter of the image", (6, 8)),
        header("IMGNUM2", u1, "", "as IMGNUM1, of the second quarter of the image", (6, 8)),
        header("IMGFUNC2", u1, "", "as IMGFUNC1, of the second quarter of the image", (6, 8)),
        header("BGDRMS", i4, "DN", "root mean square of the background", (6, 8)),
        header("TEMPCCD", f4, "K", "temperature of the CCD", (6, 8)),
        header("TEMPHOUS", f4, "K", "temperature of the aspect camera's housing", (6, 8)),
        header("TEMPPRIM", f4, "K", "temperature of the lens cell (primary)", (6, 8)),
        header("TEMPSEC", f4, "K", "temperature of the secondary mirror", (6, 8)),
        header("BGDSTAT", u1, "", "status of the eight background pixels", (6, 8)),
        *(
            header(f"{name}{part}", u1, "", f"as {name}1, of the {nth} quarter of the image", (8,))
            for part, nth in ((3, "third"), (4, "fourth"))
            for name in ("IMGFID", "IMGNUM", "IMGFUNC")
        ),
        header("IMGRAW", pa.list_(pa.float32()), "DN", "the pixels, row by row: 16, 36 or 64"),
        *(
            header(f"HD3TLM{row}{word}", u1, "", f"byte {row}{word} of the header-3 telemetry", (8,))
            for row in (6, 7)
            for word in range(2, 8)
        ),
        Column("IMGSIZE", i4, "pixel", "image size: 4, 6 or 8", "shape of ACA L0 column IMGRAW"),
        Column("FILENAME", text, "", "the source file", "base name of the ACA L0 file"),
    )


ACA_L0 = Table("aca_l0", ("year", "doy", "slot"), _aca_l0(), row_group_rows=16384, names_sources=True, order=("TIME",))
HDR3 = Table(
    "hdr3",
    ("year", "doy"),
    (
        Column("TIME", pa.float64(), "s", "time of the 8x8 readouts, CXC seconds (TT since 1998-01-01)", "aca_l0.TIME"),
        Column(
            "SLOTS",
            pa.uint8(),
            "",
            "a flag for each slot with an 8x8 readout at this time, slot 0 the lowest",
            "aca_l0",
        ),
        *(
            Column(
                msid.name,
                msid.type,
                msid.unit,
                msid.description,
                "aca_l0, " + ", ".join(f"slot {slot} HD3TLM{word}" for slot, word in msid.bytes),
                (8,),
            )
            for msid in PSEUDO_MSIDS
        ),
    ),
    row_group_rows=32768,
    order=("TIME",),
    definitions=DEFINITIONS,
)
DARK_CAL = Table(
    "dark_cal",
    (),
    (
        Column("dark_id", pa.string(), "", "the calibration: year and day of year", "name of its folder"),
        Column("time", pa.float64(), "s", "start of the calibration, CXC seconds", "property date"),
        Column("date", pa.string(), "", "start of the calibration, UTC", "property date"),
        Column("ccd_temp", pa.float64(), "°C", "temperature of the CCD", "property ccd_temp"),
        Column("directory", pa.string(), "", "where its files are", "as last seen by ingest"),
        Column("checksum", pa.string(), "", "SHA-256 of properties.json", "the file as it is stored"),
        Column("image_checksum", pa.string(), "", "SHA-256 of image.fits", "the file as it is stored"),
        Column("properties", pa.string(), "", "all properties, as JSON", "properties.json"),
    ),
    row_group_rows=32768,
    time="time",
    searched=(),
    wide=True,
    order=("dark_id",),
)
DARK_CAL_IMAGE = Table(
    "dark_cal_image",
    ("year", "doy"),
    (
        Column("dark_id", pa.string(), "", "the calibration: year and day of year", "name of its folder"),
        Column("time", pa.float64(), "s", "start of the calibration, CXC seconds", "property date"),
        Column("row", pa.int16(), "pixel", "CCD row, -512 to 511", "place in image.fits"),
        Column("col", pa.int16(), "pixel", "CCD column, -512 to 511", "place in image.fits"),
        Column("value", pa.float32(), "e-/s", "dark current", "image.fits"),
    ),
    row_group_rows=1 << 18,
    time="time",
    searched=("value",),
    order=("row", "col"),
    product="dark_cal",
)
DARK_CAL_DISTRIBUTION = Table(
    "dark_cal_distribution",
    (),
    (
        Column("value", pa.float32(), "e-/s", "dark current: each that a pixel has, and a grid", "dark_cal_image"),
        Column("dark_id", pa.string(), "", "the calibration: year and day of year", "name of its folder"),
        Column("time", pa.float64(), "s", "start of the calibration, CXC seconds", "property date"),
        Column("warmer", pa.int32(), "", "how many pixels are above this value", "dark_cal_image"),
    ),
    row_group_rows=8192,
    time="time",
    searched=("value",),
    order=("value", "time"),
    product="dark_cal",
)
_REVISION = (
    Column("obsid", pa.int32(), "", "the observation", "name of its folder"),
    Column("revision", pa.int32(), "", "revision of its products", "name of its folder"),
    Column("isdefault", pa.bool_(), "", "whether this revision is the default", "archfiles.db3, else the links"),
)
_PLACE = (
    Column("islast", pa.bool_(), "", "whether this revision is the last", "the links"),
    Column("filename", pa.string(), "", "the source file", "name of the file"),
    Column("checksum", pa.string(), "", "SHA-256 of the source file", "the file as it is stored"),
    Column("directory", pa.string(), "", "folder of the revision", "as last seen by ingest"),
    Column("link", pa.string(), "", "link to it, null where none", "as last seen by ingest"),
)
OBSPAR_KV = Table(
    "obspar_kv",
    ("year",),
    (
        *_REVISION,
        Column("name", pa.string(), "", "the parameter, with _ for -", "obspar file"),
        Column("type", pa.string(), "", "s text, i integer, r real", "obspar file"),
        Column("value", pa.string(), "", "its value; null where an i or r is empty", "obspar file"),
        Column("number", pa.float64(), "", "its value as a number, of i and r", "obspar file"),
        Column("description", pa.string(), "", "what it is", "obspar file"),
        Column("tstart", pa.float64(), "s", "start of the observation, CXC seconds", "parameter tstart"),
    ),
    row_group_rows=8192,
    time="tstart",
    searched=("obsid",),
    order=("tstart", "obsid", "revision"),
    product="obspar",
)
OBSPAR = Table(
    "obspar",
    ("year",),
    (
        *_REVISION,
        *_PLACE,
        Column("tstart", pa.float64(), "s", "start of the observation, CXC seconds", "parameter tstart"),
        Column("tstop", pa.float64(), "s", "stop of the observation, CXC seconds", "parameter tstop"),
        Column("num_ccd_on", pa.int64(), "", "how many CCDs of ACIS are on", "parameters ccd[is]N_on"),
    ),
    row_group_rows=32768,
    time="tstart",
    searched=("obsid", "tstart"),
    wide=True,
    order=("tstart", "obsid", "revision"),
)
ASP_L1_FILE = Table(
    "asp_l1_file",
    ("year",),
    (
        *_REVISION,
        Column("content", pa.string(), "", "kind of product, such as ASPSOL, ACACENT", "header: CONTENT"),
        *_PLACE,
        Column("interval", pa.string(), "", "the aspect interval: name up to the kind of product", "name of the file"),
        Column("tstart", pa.float64(), "s", "start, CXC seconds", "header: TSTART"),
        Column("tstop", pa.float64(), "s", "stop, CXC seconds", "header: TSTOP"),
        Column("rows", pa.int64(), "", "rows of its first table", "header: NAXIS2"),
        Column("header", pa.string(), "", "header of its first table, of ASPSOL", "header"),
        Column("aca_misalign", pa.list_(pa.float64()), "", "misalignment of the ACA, 3x3 row by row", "ACACAL"),
        Column("fts_misalign", pa.list_(pa.float64()), "", "misalignment of the fids, 3x3 row by row", "ACACAL"),
    ),
    row_group_rows=8192,
    time="tstart",
    searched=("obsid", "tstart", "tstop"),
    order=("tstart", "obsid", "revision", "filename"),
    product="asp_l1",
)


def _fits(names: str, unit: str, meaning: str, source: str, type_: pa.DataType | None = None) -> tuple[Column, ...]:
    type_ = pa.float64() if type_ is None else type_
    return tuple(Column(name, type_, unit, meaning, f"{source} column {name}") for name in names.split())


ASP_SOL = Table(
    "asp_sol",
    ("year", "doy"),
    (
        Column("time", pa.float64(), "s", "time of the solution, CXC seconds", "ASPSOL column time"),
        *_fits("ra dec roll", "deg", "attitude", "ASPSOL"),
        *_fits("dy dz", "mm", "offset of the science instruments", "ASPSOL"),
        *_fits("dtheta", "deg", "rotation of the science instruments", "ASPSOL"),
        *_fits("q_att", "", "attitude quaternion, four values", "ASPSOL", pa.list_(pa.float64())),
        Column("asp_sol_status", pa.int32(), "", "0 good; the worst within 1.025 s; null where not known", "ASPQUAL"),
        *_fits("ady adz", "mm", "offset of the science instruments, of newer files", "ASPSOL"),
        *_fits("adtheta", "deg", "rotation of the science instruments, of newer files", "ASPSOL"),
        *_fits("ra_raw dec_raw roll_raw", "deg", "attitude before correction, of newer files", "ASPSOL"),
        *_fits("q_att_raw", "", "quaternion before correction, of newer files", "ASPSOL", pa.list_(pa.float64())),
        *_REVISION,
        Column("filename", pa.string(), "", "the source file", "name of the file"),
    ),
    row_group_rows=32768,
    time="time",
    searched=("time", "obsid"),
    order=("time",),
    order_within=("obsid", "revision", "filename"),
    product="asp_l1",
)
ACA_CENT = Table(
    "aca_cent",
    ("year", "doy"),
    (
        Column("time", pa.float64(), "s", "time of the centroid, CXC seconds", "ACACENT column time"),
        *_fits("slot", "", "image slot", "ACACENT", pa.int8()),
        *_fits("alg", "", "algorithm: 1 centroid, 8 fit", "ACACENT", pa.int16()),
        *_fits("status", "", "0 good", "ACACENT", pa.int32()),
        *_fits("cent_i cent_j", "pixel", "centroid on the CCD", "ACACENT"),
        *_fits("ang_y ang_z", "deg", "angles of the centroid", "ACACENT"),
        *_fits("ang_y_sm ang_z_sm", "deg", "angles of the centroid, smoothed", "ACACENT"),
        *_fits("counts", "e-", "counts of the image", "ACACENT"),
        *_REVISION,
        Column("filename", pa.string(), "", "the source file", "name of the file"),
    ),
    row_group_rows=32768,
    time="time",
    searched=("time", "obsid"),
    order=("time", "slot", "alg"),
    order_within=("obsid", "revision", "filename"),
    product="asp_l1",
)
ASP_L1_PROC = Table(
    "asp_l1_proc",
    (),
    (
        Column("obsid", pa.int32(), "", "the observation", "aspect_1_proc.obsid"),
        Column("obi", pa.int32(), "", "observation interval of the observation", "aspect_1_proc.obi"),
        Column("revision", pa.int32(), "", "revision of the aspect products", "aspect_1_proc.revision"),
        Column("isdefault", pa.bool_(), "", "whether this revision is the released one", "aspect_1_proc.isdefault"),
        Column("aspect_1_id", pa.int32(), "", "number of the processing", "aspect_1_proc.aspect_1_id"),
        Column("ap_date", pa.string(), "", "date of the processing", "aspect_1_proc.ap_date"),
        Column("obspar_version", pa.int32(), "", "revision of the obspar that it used", "aspect_1_proc.obspar_version"),
        Column("time", pa.float64(), "s", "the same, CXC seconds; null where it is no date", "aspect_1_proc.ap_date"),
    ),
    row_group_rows=8192,
    time="time",
    searched=("obsid",),
    order=("obsid", "revision", "aspect_1_id"),
    product="asp_l1",
)


def _stats(
    name: str, source: str, time: str, searched: tuple[str, ...], more: tuple[Column, ...] = (), **others: Any
) -> Table:
    return Table(
        name,
        ("year",),
        (
            Column("position", pa.int32(), "", "row in the source table, from 0", f"place in {source}"),
            *(Column(c.name, c.type, c.unit, c.meaning, f"{source} column {c.name}") for c in columns_of(name)),
            *more,
        ),
        row_group_rows=8192,
        time=time,
        searched=(time, *searched),
        **others,
    )


_BY_STAR: dict[str, Any] = {"searched": ("agasc_id", "obsid"), "order": ("agasc_id", "position")}
ACQ_STATS = _stats("acq_stats", "acq_stats.h5", "guide_tstart", **_BY_STAR)
GUIDE_STATS = _stats("guide_stats", "guide_stats.h5", "kalman_tstart", **_BY_STAR)
_COMPUTED = Column("computed", pa.bool_(), "", "whether 'mica-lake vv --ingest' computed it", "null position, or not")
VV_RMS = _stats("vv_rms", "vv.h5", "tstart", ("obsid",), (_COMPUTED,), product="vv")


def _vv_slot() -> pa.DataType:
    """What a V&V report tells of a slot, in the words of `mica_lake.vv.obi.Obi.slot_report`."""
    whole, real, text = pa.int32(), pa.float64(), pa.string()
    of_residuals = [
        (f"{name}_{kind}", type_)
        for name in ("dr", "dy", "dz", "mag")
        for kind, type_ in (("n_samples", whole), ("bad_samples", whole), ("mean", real), ("med", real), ("rms", real))
    ]
    return pa.struct(
        [
            ("slot", whole),
            ("type", text),
            ("id_status", text),
            ("cel_loc_flag", whole),
            ("n_pts", whole),
            *((name, real) for name in ("rad_off", "enc_rad1", "enc_rad2", "mean_y", "mean_z")),
            *of_residuals,
            *((f"frac_{name}_big", real) for name in ("dr", "dy", "dz", "mag")),
        ]
    )


VV_REPORT = Table(
    "vv_report",
    ("year",),
    (
        Column("obsid", pa.int32(), "", "the observation", "report"),
        Column("revision", pa.int32(), "", "revision of its aspect products", "report"),
        Column("isdefault", pa.bool_(), "", "whether this revision is the released one", "asp_l1_proc, asp_l1_file"),
        Column("computed", pa.bool_(), "", "whether 'mica-lake vv --ingest' computed it", "the ingest"),
        Column("tstart", pa.float64(), "s", "start of the observation, CXC seconds; null if not said", "report"),
        Column("tstop", pa.float64(), "s", "stop of the observation, CXC seconds; null if not said", "report"),
        Column("directory", pa.string(), "", "folder of the archive's report, null where it has none", "as last seen"),
        Column("checksum", pa.string(), "", "SHA-256 of the report", "vv_report.json, or what was computed"),
        Column("slots", pa.list_(_vv_slot()), "", "for each slot, by slot, its residuals", "report, slots"),
        Column("report", pa.string(), "", "the whole report, JSON", "vv_report.json, or what was computed"),
    ),
    row_group_rows=1024,
    time="tstart",
    searched=("obsid",),
    order=("tstart", "obsid", "revision"),
    product="vv",
)
TABLES = {
    table.name: table
    for table in (
        ACA_L0, HDR3, DARK_CAL, DARK_CAL_IMAGE, DARK_CAL_DISTRIBUTION, OBSPAR, OBSPAR_KV, ASP_L1_FILE, ASP_L1_PROC,
        ASP_SOL, ACA_CENT, ACQ_STATS, GUIDE_STATS, VV_RMS, VV_REPORT,
    )
}  # fmt: skip

HDR3_MSID = pa.table(
    {name: [getattr(msid, name) for msid in PSEUDO_MSIDS] for name in ("name", "id", "unit", "description")}
)

SOURCE_FILE = pa.schema(
    [
        ("product", pa.string()),
        ("filename", pa.string()),
        ("status", pa.string()),  # see sql/lake.sql
        ("reason", pa.string()),
        ("directory", pa.string()),  # as last seen by ingest; null after a reindex without the old catalog
        ("size", pa.int64()),
        ("mtime_ns", pa.int64()),
        ("checksum", pa.string()),  # SHA-256 of the file as it is stored
        ("slot", pa.int8()),
        ("imgsize", pa.int8()),
        ("revision", pa.int32()),
        ("tstart", pa.float64()),  # of the header
        ("tstop", pa.float64()),
        ("startmjf", pa.int32()),
        ("startmnf", pa.int32()),
        ("stopmjf", pa.int32()),
        ("stopmnf", pa.int32()),
        ("tlmver", pa.string()),
        ("ascdsver", pa.string()),
        ("date", pa.string()),
        ("rows", pa.int64()),
    ]
)

PARTITION = pa.schema(
    [
        ("table_name", pa.string()),
        ("year", pa.int16()),
        ("doy", pa.int16()),
        ("slot", pa.int8()),
        ("day_number", pa.int32()),  # since 1998-01-01
        ("path", pa.string()),  # of the pinned version, relative to the lake
        ("rows", pa.int64()),
        ("bytes", pa.int64()),
        ("tstart", pa.float64()),  # of the first row
        ("tstop", pa.float64()),  # of the last row
        ("files", pa.int32()),
        ("derived_from", pa.string()),  # of a table made from another: a checksum of what it was made from
        ("definition", pa.string()),  # what its values mean: see `Table.definition`; null of an older mica-lake
    ]
)
