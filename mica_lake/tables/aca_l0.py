"""The table of ACA level 0, with a row for each readout of a slot."""

import pyarrow as pa

from mica_lake.tables.table import ALL_SIZES, Column, Table

# Readouts of a slot are at least 1.025 s apart; the same one has the same time in every file, give or take the fit of
# the clock (s).
SAME_READOUT = 0.1


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


ACA_L0 = Table(
    "aca_l0",
    ("year", "doy", "slot"),
    _aca_l0(),
    row_group_rows=16384,
    names_sources=True,
    order=("TIME",),
    rows="slot_data(start, stop, slot)",
)

TABLES = (ACA_L0,)
