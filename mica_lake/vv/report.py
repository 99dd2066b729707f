"""The numbers of a V&V report: statistics of the residuals of each slot, and what is odd about the intervals."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mica_lake.vv.interval import Interval

# How far a sample may be from the median before it is counted as far off (arcsec, or mag).
_BIG = 0.7


def joined(parts: Sequence[Mapping[str, Any]]) -> dict[str, NDArray[Any]]:
    """Join the data of a slot in several intervals."""
    arrays: dict[str, NDArray[Any]] = {}
    for name, first in parts[0].items():
        arrays[name] = np.concatenate([np.ma.getdata(part[name]) for part in parts])
        if isinstance(first, np.ma.MaskedArray):
            # Not np.ma.concatenate, which drops a mask without masked samples.
            arrays[name] = np.ma.MaskedArray(arrays[name], np.concatenate([part[name].mask for part in parts]))
    return arrays


def slot_report(tracked: Mapping[str, Any], data: Mapping[str, NDArray[Any]] | None) -> dict[str, Any]:
    """What a slot tracks and, if it has data, its statistics."""
    report: dict[str, Any] = dict(tracked)
    if data is None:
        return report
    for name in ("dr", "dy", "dz", "mag"):
        values: Any = data[name]
        good = values.compressed() if name == "mag" else values[data["qual"] == 0]
        count, median = len(values), float(np.median(good)) if len(good) else math.nan
        away = good - median
        report[f"{name}_n_samples"] = count
        report[f"{name}_bad_samples"] = count - len(good)
        report[f"{name}_mean"] = float(good.mean()) if len(good) else math.nan
        report[f"{name}_med"] = median
        report[f"{name}_rms"] = math.sqrt((away**2).mean()) if len(good) else math.nan
        report[f"frac_{name}_big"] = int((abs(away) > _BIG).sum()) / count
    suffix = "_sm" if tracked["type"] == "FID" else ""
    y, z, dr = (data[name][np.isfinite(data[name])] for name in (f"ang_y{suffix}", f"ang_z{suffix}", "dr"))
    report["n_pts"] = len(data["time"])
    report["rad_off"] = math.hypot(report["dy_med"], report["dz_med"])
    report["mean_y"], report["mean_z"] = (float(angle.mean()) if len(angle) else math.nan for angle in (y, z))
    report["enc_rad1"], report["enc_rad2"] = np.percentile(dr, (68, 95)).tolist() if len(dr) else (math.nan, math.nan)
    found: dict[str, Any] = as_json(report)
    return found


def sim_report(parts: Sequence[Mapping[str, NDArray[np.float64]]]) -> dict[str, float | None]:
    """The extremes of the SIM's drift; a step between two intervals does not count."""
    report: dict[str, float | None] = {}
    for axis in ("dy", "dz"):
        drifts = [drift[np.isfinite(drift)] for drift in (part[f"medf_{axis}"] for part in parts)]
        drifts = [drift for drift in drifts if len(drift)]
        report[f"max_medf_{axis}"] = max((float(drift.max()) for drift in drifts), default=None)
        report[f"min_medf_{axis}"] = min((float(drift.min()) for drift in drifts), default=None)
        report[f"max_d_{axis}"] = max((float(abs(np.diff(drift)).max(initial=0)) for drift in drifts), default=None)
    return report


def oddities(obsid: int, intervals: Sequence[Interval]) -> list[str]:
    """What is odd about the intervals, as warnings."""
    monitor = any(interval.slots.get(7, {}).get("type") == "MONITOR" for interval in intervals)
    errors = []
    if len(intervals) != (2 if monitor else 1):
        kind = "monitor window obsid" if monitor else "obsid"
        errors.append(f"Warning: {kind} {obsid} has {len(intervals)} aspect intervals")
    for slot in sorted({slot for interval in intervals for slot in interval.slots}):
        having = [interval.slots[slot] for interval in intervals if slot in interval.slots]
        with_data = sum(slot in interval.slot_data for interval in intervals)
        if 0 < with_data < len(intervals):
            errors.append(f"Warning: slot {slot} has data in {with_data} of {len(intervals)} aspect intervals")
        for name in ("id_status", "type", "cel_loc_flag"):
            values = [str(tracked.get(name)) for tracked in having]
            if len(set(values)) > 1:
                errors.append(f"Warning: {name} of slot {slot} differs between aspect intervals: {', '.join(values)}")
    return errors


def as_json(value: Any) -> Any:
    """A copy of a value with None in place of each number that JSON lacks (NaN, infinity)."""
    if isinstance(value, Mapping):
        return {name: as_json(one) for name, one in value.items()}
    if isinstance(value, list):
        return [as_json(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def number(value: Any) -> Any:
    """The inverse of `as_json` for a number."""
    return math.nan if value is None else value
