"""The tables of verification and validation."""

import pyarrow as pa

from mica_lake.tables.columns import stat_table
from mica_lake.tables.table import Column, Table

_COMPUTED = Column("computed", pa.bool_(), "", "whether 'mica-lake vv --ingest' computed it", "null position, or not")

VV_RMS = stat_table("vv_rms", "vv.h5", "tstart", ("obsid",), (_COMPUTED,), product="vv")


def _vv_slot() -> pa.DataType:
    """What a V&V report says about a slot, under the names in `mica_lake.vv.obi.Obi.slot_report`."""
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

TABLES = (VV_RMS, VV_REPORT)
