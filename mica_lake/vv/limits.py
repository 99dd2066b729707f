"""Limits on the residuals of a slot.

==============  =============  ==========  ===============
value           fid light bad  star bad    star to look at
==============  =============  ==========  ===============
dy_rms, dz_rms  0.05 arcsec    0.4 arcsec  0.25 arcsec
dy_med, dz_med  0.4 arcsec
rad_off         0.4 arcsec     1.5 arcsec
frac_*_big                     0.05
==============  =============  ==========  ===============

A value is outside if its absolute value reaches the limit.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ["BAD", "WARN", "Outside", "limits"]

_BIG = {f"frac_{name}_big": 0.05 for name in ("dr", "dy", "dz", "mag")}
BAD: dict[bool, dict[str, float]] = {
    True: {"dy_rms": 0.05, "dz_rms": 0.05, "dy_med": 0.4, "dz_med": 0.4, "rad_off": 0.4},
    False: {"dy_rms": 0.4, "dz_rms": 0.4, "rad_off": 1.5, **_BIG},
}
"""Name -> smallest bad value, for fid lights (True) and stars (False)."""

WARN: dict[bool, dict[str, float]] = {True: {}, False: {"dy_rms": 0.25, "dz_rms": 0.25}}
"""The same for values to look at."""


class Outside(NamedTuple):
    """
    A value outside a limit.

    Attributes
    ----------
    name : str
        Its name in the report.
    level : {'bad', 'warn'}
        How serious it is.
    value : float
        The value; NaN if there is none.
    limit : float
        The limit, which its absolute value should stay below.
    """

    name: str
    level: str
    value: float
    limit: float


def limits(report: Mapping[str, Any]) -> list[Outside]:
    """
    The values of a slot that are outside the limits.

    Parameters
    ----------
    report : mapping
        The report of one slot, from `mica_lake.vv.obi.Obi.slot_report` or a ``vv_report.json``.

    Returns
    -------
    list of Outside
        In the order of the table above, each value at most once. A missing value (None or NaN, because all samples
        are masked) is bad.

    Raises
    ------
    ValueError
        If the report lacks one of the values.

    Examples
    --------
    >>> good = {"type": "FID", "dy_rms": 0.01, "dz_rms": 0.01, "dy_med": 0.1, "dz_med": -0.2, "rad_off": 0.22}
    >>> limits(good)
    []
    >>> limits(good | {"dz_med": -0.5})
    [Outside(name='dz_med', level='bad', value=-0.5, limit=0.4)]
    """
    fid = report.get("type") == "FID"
    if absent := [name for name in BAD[fid] if name not in report]:
        raise ValueError(f"the report of slot {report.get('slot')} lacks {', '.join(absent)}")
    found = []
    for name, limit in BAD[fid].items():
        value = float("nan") if report[name] is None else float(report[name])
        # Not >=, which is False for NaN.
        if not abs(value) < limit:
            found.append(Outside(name, "bad", value, limit))
        elif abs(value) >= WARN[fid].get(name, limit):
            found.append(Outside(name, "warn", value, WARN[fid][name]))
    return found
