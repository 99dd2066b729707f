"""Telemetry as the statistics want it: in order of time, without bad samples, texts without blanks."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mica_lake.times import cxcsec, utc

Telemetry = Mapping[str, NDArray[Any]]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: Names of the flags of an image, each with the rest of the name of its column.
FLAGS = {
    "AOACIIR": "ion_rad",
    "AOACISP": "sat_pix",
    "AOACIDP": "def_pix",
    "AOACIMS": "mult_star",
    "AOACICC": "common_col",
    "AOACIQB": "quad_bound",
}
_OF_SAMPLES = ("AOACASEQ", "AOPCADMD", "AOFATTMD", "AOFSTAR")
_OF_SLOTS = ("AOACQID", "AOACFCT", "AOACMAG", "AOACYAN", "AOACZAN", *FLAGS)
#: Every array that the statistics need, with how many numbers or texts a sample of it has.
SHAPES = {"TIME": (), "bad": (), **dict.fromkeys(_OF_SAMPLES, ()), "AOATTQT": (4,), **dict.fromkeys(_OF_SLOTS, (8,))}
TEMPERATURE = ("AACCCDPT", "AACCCDPT_TIME")
#: MSIDs that are in no formula; a sample is left out where one of them is bad.
EXTRAS = (
    *("AOACQSUC", "AOFREACQ", "AOFWAIT", "AOREPEAT", "AOACSTAT", "AOACHIBK", "AOACPRGS", "AOATUPST", "AONSTARS"),
    *("AORFSTR1", "AORFSTR2", *(f"AOIMAGE{slot}" for slot in range(8))),
)


def msids(name: str) -> list[str]:
    """
    The MSIDs that an array of `SHAPES` is made of.

    Examples
    --------
    >>> msids("AOATTQT"), msids("AOACMAG")[:2], msids("AOFSTAR")
    (['AOATTQT1', 'AOATTQT2', 'AOATTQT3', 'AOATTQT4'], ['AOACMAG0', 'AOACMAG1'], ['AOFSTAR'])
    """
    if name == "AOATTQT":
        return [f"{name}{n}" for n in range(1, 5)]
    return [f"{name}{slot}" for slot in range(8)] if SHAPES[name] else [name]


class NotGathered(ValueError):  # noqa: N818 - not an error of the program
    """Why an observation has no rows."""


def good_samples(telemetry: Telemetry) -> dict[str, NDArray[Any]]:
    """
    The samples that are not bad, in order of time.

    Parameters
    ----------
    telemetry : mapping of str to numpy.ndarray
        Arrays by name, as `SHAPES` lists them, and AACCCDPT with its AACCCDPT_TIME and perhaps AACCCDPT_bad. Texts are
        bytes or str, perhaps padded with blanks.

    Returns
    -------
    dict of str to numpy.ndarray
        The same arrays, without `bad`. Of several samples of one time the first is there. A sample is bad, too, if
        something of it is masked, or the angles or the magnitude of an image that it tracks are no numbers.

    Raises
    ------
    NotGathered
        If there is no array of a name, or it has another length than TIME; the message names it.

    Examples
    --------
    >>> good_samples({"TIME": np.arange(3.0)})
    Traceback (most recent call last):
        ...
    mica_lake.gathering.telemetry.NotGathered: the telemetry has no AOACASEQ
    """
    arrays = {name: np.asarray(telemetry[name]) for name in telemetry}
    arrays.setdefault("bad", np.zeros(len(arrays["TIME"]) if "TIME" in arrays else 0, bool))
    for name, more in SHAPES.items():
        if name not in arrays:
            raise NotGathered(f"the telemetry has no {name}")
        if arrays[name].shape != (len(arrays["TIME"]), *more):
            raise NotGathered(
                f"{name} has shape {arrays[name].shape}, and TIME has {len(arrays['TIME'])} samples: "
                f"it should be {(len(arrays['TIME']), *more)}"
            )
    times = arrays["TIME"]
    bad = arrays["bad"].astype(bool) | ~np.isfinite(times) | _unknown(telemetry, arrays)
    chosen: Any = np.flatnonzero(~bad)
    if np.any(np.diff(times[chosen]) <= 0):
        chosen = chosen[np.unique(times[chosen], return_index=True)[1]]
    elif len(chosen) == len(times):
        chosen = slice(None)
    samples = {name: plain(arrays[name][chosen]) for name in SHAPES if name != "bad"}
    return samples | _temperatures(telemetry)


def _unknown(telemetry: Telemetry, arrays: Telemetry) -> Bools:
    """The samples of which something that counts is masked, or is no number."""
    found = np.zeros(len(arrays["TIME"]), bool)
    for name in ("AOACMAG", "AOACYAN", "AOACZAN"):
        if not (known := np.isfinite(arrays[name])).all():
            found |= (~known & (plain(arrays["AOACFCT"]) == b"TRAK")).any(axis=1)
    for name in SHAPES.keys() & telemetry.keys():
        if np.ma.is_masked(telemetry[name]):
            found |= np.ma.getmaskarray(telemetry[name]).reshape(len(found), -1).any(axis=1)
    return found


def _temperatures(telemetry: Telemetry) -> dict[str, NDArray[Any]]:
    """The good values of AACCCDPT and their times, in order of time."""
    for name in TEMPERATURE:
        if name not in telemetry:
            raise NotGathered(f"the telemetry has no {name}")
    celsius, times = (np.ma.filled(np.ma.asarray(telemetry[name], np.float64), np.nan) for name in TEMPERATURE)
    bad = np.asarray(telemetry.get("AACCCDPT_bad", np.zeros(len(times), bool)), bool)
    if not len(celsius) == len(times) == len(bad):
        raise NotGathered(f"AACCCDPT has {len(celsius)} values, {len(times)} times and {len(bad)} qualities")
    good = np.flatnonzero(~bad & np.isfinite(celsius) & np.isfinite(times))
    good = good[np.argsort(times[good], kind="stable")]
    return {"AACCCDPT": celsius[good], "AACCCDPT_TIME": times[good]}


def plain(values: NDArray[Any]) -> NDArray[Any]:
    """
    Texts as bytes without blanks around them; numbers as they are.

    Examples
    --------
    >>> plain(np.array(["OK ", "ERR"])).tolist()
    [b'OK', b'ERR']
    """
    if values.dtype.kind in "UO":
        values = values.astype("S")
    if values.dtype.kind != "S":
        return values
    as_bytes = np.ascontiguousarray(values).view(np.uint8).reshape(values.size, values.dtype.itemsize)
    if np.any(as_bytes[:, :1] == ord(" ")):
        return np.char.strip(values)
    if np.any(blank := as_bytes == ord(" ")):
        as_bytes = np.where(blank, np.uint8(0), as_bytes)
    return as_bytes.view(values.dtype).reshape(values.shape)


def of_rows(samples: Telemetry, rows: slice) -> dict[str, NDArray[Any]]:
    """Some of the samples; the temperatures, which have times of their own, stay all."""
    return {name: values if name in TEMPERATURE else values[rows] for name, values in samples.items()}


def rounded(time: float) -> float:
    """A time as its date to a millisecond has it."""
    return cxcsec(utc(time))
