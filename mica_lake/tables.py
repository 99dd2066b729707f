"""The tables of the lake: each column's name, type, unit, meaning and source, declared here and nowhere else."""

from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from mica_lake.hdr3_msids import PSEUDO_MSIDS

ALL_SIZES = (4, 6, 8)


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
        What its directories are partitioned by.
    columns : tuple of Column
        Its columns, in order.
    row_group_rows : int
        Rows that a query reads or skips together; measured, see docs/performance.md.
    """

    name: str
    keys: tuple[str, ...]
    columns: tuple[Column, ...]
    row_group_rows: int

    @cached_property
    def schema(self) -> pa.Schema:
        """The Arrow schema of a partition."""
        return pa.schema([pa.field(c.name, c.type) for c in self.columns])

    @cached_property
    def by_name(self) -> dict[str, Column]:
        """The columns by name."""
        return {c.name: c for c in self.columns}


def _aca_l0() -> tuple[Column, ...]:
    u1, i2, u2, i4, f4, f8 = pa.uint8(), pa.int16(), pa.uint16(), pa.int32(), pa.float32(), pa.float64()
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
        header("IMGSCALE", u2, "", "scale of the pixels, 0 to 1023"),
        header("BGDAVG", u2, "DN", "average background"),
        header("IMGFID2", u1, "", "as IMGFID1, of the second quarter of the image", (6, 8)),
        header("IMGNUM2", u1, "", "as IMGNUM1, of the second quarter of the image", (6, 8)),
        header("IMGFUNC2", u1, "", "as IMGFUNC1, of the second quarter of the image", (6, 8)),
        header("BGDRMS", u2, "DN", "root mean square of the background", (6, 8)),
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


ACA_L0 = Table("aca_l0", ("year", "doy", "slot"), _aca_l0(), row_group_rows=16384)
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
)
TABLES = {table.name: table for table in (ACA_L0, HDR3)}

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
    ]
)
