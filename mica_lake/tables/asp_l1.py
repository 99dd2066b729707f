"""The tables of aspect level 1 products."""

import pyarrow as pa

from mica_lake.tables.columns import PLACE, REVISION, fits_columns
from mica_lake.tables.table import Column, Table

ASP_L1_FILE = Table(
    "asp_l1_file",
    ("year",),
    (
        *REVISION,
        Column("content", pa.string(), "", "kind of product, such as ASPSOL, ACACENT", "header: CONTENT"),
        *PLACE,
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

ASP_SOL = Table(
    "asp_sol",
    ("year", "doy"),
    (
        Column("time", pa.float64(), "s", "time of the solution, CXC seconds", "ASPSOL column time"),
        *fits_columns("ra dec roll", "deg", "attitude", "ASPSOL"),
        *fits_columns("dy dz", "mm", "offset of the science instruments", "ASPSOL"),
        *fits_columns("dtheta", "deg", "rotation of the science instruments", "ASPSOL"),
        *fits_columns("q_att", "", "attitude quaternion, four values", "ASPSOL", pa.list_(pa.float64())),
        Column("asp_sol_status", pa.int32(), "", "0 good; the worst within 1.025 s; null where not known", "ASPQUAL"),
        *fits_columns("ady adz", "mm", "offset of the science instruments, of newer files", "ASPSOL"),
        *fits_columns("adtheta", "deg", "rotation of the science instruments, of newer files", "ASPSOL"),
        *fits_columns("ra_raw dec_raw roll_raw", "deg", "attitude before correction, of newer files", "ASPSOL"),
        *fits_columns(
            "q_att_raw", "", "quaternion before correction, of newer files", "ASPSOL", pa.list_(pa.float64())
        ),
        *REVISION,
        Column("filename", pa.string(), "", "the source file", "name of the file"),
    ),
    row_group_rows=32768,
    time="time",
    searched=("time", "obsid"),
    order=("time",),
    order_within=("obsid", "revision", "filename"),
    product="asp_l1",
    rows="asp_sol(start, stop)",
)

ACA_CENT = Table(
    "aca_cent",
    ("year", "doy"),
    (
        Column("time", pa.float64(), "s", "time of the centroid, CXC seconds", "ACACENT column time"),
        *fits_columns("slot", "", "image slot", "ACACENT", pa.int8()),
        *fits_columns("alg", "", "algorithm: 1 centroid, 8 fit", "ACACENT", pa.int16()),
        *fits_columns("status", "", "0 good", "ACACENT", pa.int32()),
        *fits_columns("cent_i cent_j", "pixel", "centroid on the CCD", "ACACENT"),
        *fits_columns("ang_y ang_z", "deg", "angles of the centroid", "ACACENT"),
        *fits_columns("ang_y_sm ang_z_sm", "deg", "angles of the centroid, smoothed", "ACACENT"),
        *fits_columns("counts", "e-", "counts of the image", "ACACENT"),
        *REVISION,
        Column("filename", pa.string(), "", "the source file", "name of the file"),
    ),
    row_group_rows=32768,
    time="time",
    searched=("time", "obsid"),
    order=("time", "slot", "alg"),
    order_within=("obsid", "revision", "filename"),
    product="asp_l1",
    rows="aca_cent(start, stop)",
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
        Column(
            "time", pa.float64(), "s", "the same, CXC seconds; null where it is not a date", "aspect_1_proc.ap_date"
        ),
    ),
    row_group_rows=8192,
    time="time",
    searched=("obsid",),
    order=("obsid", "revision", "aspect_1_id"),
    product="asp_l1",
)

TABLES = (ASP_L1_FILE, ASP_L1_PROC, ASP_SOL, ACA_CENT)
