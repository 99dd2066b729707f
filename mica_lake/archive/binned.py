"""Statistics over time for the facade's `MSID` classes: ``stat="5min"`` and ``stat="daily"``."""

import os
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from mica_lake.archive.arrays import values_and_mask
from mica_lake.lake import open_lake
from mica_lake.tables.binned import PERCENTILES, WIDTHS

# cheta's names for the columns whose values are of the MSID's own type, and for the others.
_OWN = {"min": "mins", "max": "maxes", "midval": "midvals"}
_MEANS = {"mean": "means", "std": "stds"}


class WithStatistics:
    """What an `MSID` has with ``stat="5min"`` or ``stat="daily"``."""

    stat: str | None = None
    _columns: tuple[str, ...] = ("times", "vals")
    vals: Any
    times: NDArray[np.float64]
    samples: NDArray[np.int32]
    means: NDArray[np.float64]
    stds: NDArray[np.float64]
    mins: NDArray[Any]
    maxes: NDArray[Any]
    midvals: NDArray[Any]
    p01s: NDArray[np.float64]
    p05s: NDArray[np.float64]
    p16s: NDArray[np.float64]
    p50s: NDArray[np.float64]
    p84s: NDArray[np.float64]
    p95s: NDArray[np.float64]
    p99s: NDArray[np.float64]

    def _fill_statistics(
        self,
        of: str,
        stat: str,
        between: tuple[float, float],
        dtype: DTypeLike,
        only: Mapping[str, Collection[Any]],
        data_root: str | os.PathLike[str] | None,
        slot: int | None = None,
    ) -> None:
        """Take them from table ``OF_STAT``; `dtype` is that of the values."""
        if stat not in WIDTHS:
            raise ValueError(f"stat {stat!r} is not one of {', '.join(map(repr, WIDTHS))}")
        percentiles = {f"p{p:02}": f"p{p:02}s" for p in (PERCENTILES if stat == "daily" else ())}
        names = {"TIME": "times", "n": "samples", **_OWN, **_MEANS, **percentiles}
        rows = open_lake(data_root).between(f"{of}_{stat}", names, *between, slot=slot, only=only)
        for name, attribute in names.items():
            column = rows.column(name)
            values, _ = values_and_mask(column, column.type.to_pandas_dtype())
            setattr(self, attribute, values.astype(dtype) if name in _OWN else values)
        self.stat, self.vals = stat, self.means
        self._columns = ("vals", *names.values())
