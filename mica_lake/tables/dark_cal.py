"""The tables of dark current calibrations."""

import pyarrow as pa

from mica_lake.tables.table import Column, Table

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

TABLES = (DARK_CAL, DARK_CAL_IMAGE, DARK_CAL_DISTRIBUTION)
