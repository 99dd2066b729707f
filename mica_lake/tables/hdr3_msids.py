"""
The 38 pseudo-MSIDs of the header-3 telemetry, and how their bytes become values.

Each 8x8 readout carries twelve bytes of header 3 (columns HD3TLM62 to 67 and 72 to 77). Their meaning depends on the
slot: a pseudo-MSID consists of bytes of one slot, or of two. The pseudo-MSIDs are declared in ``hdr3_msids.csv``, and
the calibration of the thermistors in ``hdr3_thermistor.csv``.
"""

import csv
import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


@dataclass(frozen=True)
class PseudoMsid:
    """
    A pseudo-MSID.

    Attributes
    ----------
    name, id : str
        Its name, and its id, made of the slot and the word.
    bytes : tuple of (slot, word)
        Its bytes, the most significant first; word 76 is column HD3TLM76.
    signed : bool
        Whether the bytes are a two's complement number.
    kind : str
        ``bits``; ``linear``, a number times `scale`; ``offset``, offset binary (the unsigned number minus half its
        range) times `scale`; or ``thermistor``.
    scale : float
        Factor that the number is multiplied by.
    unit : str
        Unit of its values.
    description : str
        What it means.
    """

    name: str
    id: str
    bytes: tuple[tuple[int, int], ...]
    signed: bool
    kind: str
    scale: float
    unit: str
    description: str

    @property
    def slot(self) -> int:
        """The slot of its most significant byte, whose readouts give the times of its values."""
        return self.bytes[0][0]

    @property
    def other_slots(self) -> frozenset[int]:
        """The slots of its other bytes."""
        return frozenset(slot for slot, _ in self.bytes) - {self.slot}

    @property
    def number(self) -> str:
        """How its bytes make a number."""
        return "offset binary" if self.kind == "offset" else "signed" if self.signed else "unsigned"

    @property
    def type(self) -> pa.DataType:
        """Its type in the lake: the smallest integer that holds all values, or a double."""
        if self.kind == "thermistor" or self.scale != int(self.scale):
            return pa.float64()
        return pa.int32() if len(self.bytes) == 2 else pa.int64()

    def values(self, words: NDArray[np.uint8]) -> NDArray[np.generic]:
        """
        Physical values of its bytes in some readouts, shape (n, len(bytes)), the most significant byte first.

        They are float64 or int64, in its unit, and NaN where the counts of a thermistor are outside its table.

        Examples
        --------
        >>> BY_NAME["ccd_temp"].values(np.array([[0xFC, 0x18]], np.uint8))
        array([-10.])
        >>> BY_NAME["zero_off16_quad_a"].values(np.array([[0x80, 0xFA]], np.uint8))
        array([250])
        """
        counts: NDArray[Any] = np.zeros(len(words), np.int64)
        for column in range(words.shape[1]):
            counts = counts << 8 | words[:, column]
        half = 1 << (8 * words.shape[1] - 1)
        if self.signed:
            counts = (counts ^ half) - half
        elif self.kind == "offset":
            counts -= half
        if self.kind == "thermistor":
            temperatures: NDArray[np.float64] = _temperatures()[counts + 32768]
            return temperatures
        scaled: NDArray[Any] = counts * (self.scale if self.type == pa.float64() else int(self.scale))
        return scaled


@cache
def _temperatures() -> NDArray[np.float64]:
    """Temperature of each 16-bit count: a cubic spline through the table (not-a-knot), NaN outside it."""
    table = sorted((int(row["counts_hex"], 16), float(row["deg_c"])) for row in _read("hdr3_thermistor.csv"))
    x, y = np.array(table, dtype=float).T
    h, slope = np.diff(x), np.diff(y) / np.diff(x)
    # Second derivatives: first derivatives are continuous, and the first and last two intervals share a cubic.
    system = np.zeros((len(x), len(x)))
    right = np.zeros(len(x))
    for i in range(1, len(x) - 1):
        system[i, i - 1 : i + 2] = h[i - 1], 2 * (h[i - 1] + h[i]), h[i]
        right[i] = 6 * (slope[i] - slope[i - 1])
    system[0, :3] = h[1], -(h[0] + h[1]), h[0]
    system[-1, -3:] = h[-1], -(h[-2] + h[-1]), h[-2]
    second = np.linalg.solve(system, right)
    counts = np.arange(-32768, 32768, dtype=float)
    k = np.clip(np.searchsorted(x, counts, side="right") - 1, 0, len(h) - 1)
    t = counts - x[k]
    first = slope[k] - h[k] * (2 * second[k] + second[k + 1]) / 6
    found: NDArray[np.float64] = y[k] + t * (first + t * (second[k] / 2 + t * (second[k + 1] - second[k]) / (6 * h[k])))
    found[(counts < x[0]) | (counts > x[-1])] = np.nan
    return found


def _read(name: str) -> list[dict[str, str]]:
    with resources.files("mica_lake.tables").joinpath(name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _declared(row: dict[str, str]) -> PseudoMsid:
    pairs = (pair.split(":") for pair in row["bytes"].split())
    return PseudoMsid(
        row["msid"],
        row["id"],
        tuple((int(slot), int(word)) for slot, word in pairs),
        row["signed"] == "1",
        row["kind"],
        float(row["scale"] or 1),
        row["unit"].replace("deg C", "°C"),
        row["description"],
    )


# The header of a readout is complete if the next 8x8 readout of the slot follows after this time.
CADENCE, TOLERANCE = 4.1, 0.001
# The bytes of a value that spans two slots belong together if their readouts are at most this far apart.
PAIRING = 2.1
# To be raised when values change though nothing in DEFINITIONS has changed.
RULES = 2

#: The pseudo-MSIDs, by slot and word.
PSEUDO_MSIDS = tuple(_declared(row) for row in _read("hdr3_msids.csv"))
BY_NAME = {msid.name: msid for msid in PSEUDO_MSIDS}
BY_ID = {msid.id: msid for msid in PSEUDO_MSIDS}

#: What decides the values besides the readouts; days derived by other definitions are derived again.
DEFINITIONS = json.dumps(
    {
        "msids": [[m.name, m.bytes, m.signed, m.kind, m.scale, m.unit] for m in PSEUDO_MSIDS],
        "thermistor": [list(row.values()) for row in _read("hdr3_thermistor.csv")],
        "rules": [RULES, CADENCE, TOLERANCE, PAIRING],
    }
)
