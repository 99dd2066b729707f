"""Statistics over time: header 3, and columns and images of ACA level 0, in bins of 328 s and of a day."""

import pyarrow as pa

from mica_lake.tables.table import Column, Table

#: Width of the bins of each kind (s). Like cheta's, they begin at whole multiples of it in CXC seconds.
WIDTHS = {"5min": 328.0, "daily": 86400.0}
#: The percentiles that daily statistics have.
PERCENTILES = (1, 5, 16, 50, 84, 95, 99)
#: The columns of ACA level 0 that have statistics.
SLOT_COLUMNS = ("TEMPCCD", "TEMPHOUS", "TEMPPRIM", "TEMPSEC", "BGDAVG", "BGDRMS")
#: What is computed of each image.
IMAGE_QUANTITIES = {
    "IMGSUM": "sum of the pixels (DN), as macro image_sum",
    "IMGMAX": "the brightest pixel (DN), as macro image_max",
    "IMGROW": "CCD row of the first moments (pixel), as macro centroid_fm",
    "IMGCOL": "CCD column of the first moments (pixel), as macro centroid_fm",
}

_SOURCES = {"hdr3": "hdr3", "slot": "aca_l0"}


def _table(of: str, stat: str) -> Table:
    width, source = WIDTHS[stat], _SOURCES[of]

    def column(name: str, meaning: str, type_: pa.DataType | None = None, unit: str = "that of msid") -> Column:
        return Column(name, type_ or pa.float64(), unit, meaning, source)

    slots = (
        column("slot", "the slot", pa.int8(), ""),
        column("imgsize", "size of the images: 4, 6 or 8", pa.int8(), "pixel"),
    )
    of_images = "; ".join(f"{name}, {meaning}" for name, meaning in IMAGE_QUANTITIES.items())
    msid = {
        "hdr3": "name of the pseudo-MSID",
        "slot": f"a column of aca_l0, {', '.join(SLOT_COLUMNS)}; or of each image, {of_images}",
    }[of]
    percentiles = [
        column(f"p{p:02}", f"percentile {p} of the values, interpolated linearly between two of them")
        for p in (PERCENTILES if stat == "daily" else ())
    ]
    return Table(
        f"{of}_{stat}",
        ("year", "slot") if of == "slot" else ("year",),
        (
            column("msid", msid, pa.string(), ""),
            *(slots if of == "slot" else ()),
            column("TIME", f"middle of the bin of {width:.0f} s, CXC seconds", pa.float64(), "s"),
            column("n", "how many good values the bin has, at least 1", pa.int32(), ""),
            column("mean", "mean of the values"),
            column("min", "the least"),
            column("max", "the greatest"),
            column("std", "standard deviation, sqrt(mean((value - mean)**2))"),
            column("midval", "the value in the middle in time: number n // 2, counted from 0"),
            *percentiles,
        ),
        row_group_rows=131072,
        row_group_of="msid" if stat == "5min" else "",
        searched=("msid", "imgsize", "TIME") if of == "slot" else ("msid", "TIME"),
        order=("msid", "imgsize", "TIME") if of == "slot" else ("msid", "TIME"),
        product="binned",
        definitions=f"{width} {PERCENTILES}",
    )


HDR3_5MIN, HDR3_DAILY = (_table("hdr3", stat) for stat in WIDTHS)
SLOT_5MIN, SLOT_DAILY = (_table("slot", stat) for stat in WIDTHS)

TABLES = (HDR3_5MIN, HDR3_DAILY, SLOT_5MIN, SLOT_DAILY)
