"""The table of header 3, with a row for each time with 8x8 readouts."""

import pyarrow as pa

from mica_lake.tables.hdr3_msids import DEFINITIONS, PSEUDO_MSIDS
from mica_lake.tables.table import Column, Table

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
    rows="hdr3_data(start, stop)",
)


def hdr3_msid() -> pa.Table:
    """The pseudo-MSIDs, a row each."""
    names = ("name", "id", "unit", "description")
    return pa.table({name: [getattr(msid, name) for msid in PSEUDO_MSIDS] for name in names})


TABLES = (HDR3,)
# Where pandas is installed, pyarrow imports it to make the first array of a process: not before it is asked for.
EXTRAS = {"hdr3_msid": hdr3_msid}
