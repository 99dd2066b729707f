"""
The per-file way: open every file of a time range with astropy and stack its columns.

This is what the lake replaces, written plainly; the demo and the benchmarks time it beside the lake.
"""

import csv
from collections.abc import Iterable, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.table import Table, vstack
from numpy.typing import NDArray

from mica_lake.aca_image import ACAImage
from mica_lake.archive.aca_l0 import ACA_DTYPE, ACA_DTYPE_NAMES
from mica_lake.formats.gunzip import MAX_BYTES, decompress
from mica_lake.formats.on_disk import check, read


def _opened(path: Path) -> fits.HDUList:
    check(path.stat(), MAX_BYTES)
    return fits.open(path)


def read_columns(paths: Iterable[Path], columns: Sequence[str]) -> dict[str, Any]:
    """
    Columns of files of one image size, stacked in the order of the files.

    Examples
    --------
    >>> paths = sorted((demo_lake().root.parent / "files").glob("*_3_img0.fits.gz"))
    >>> read_columns(paths, ["TIME", "IMGRAW"])["IMGRAW"].shape
    (3512, 6, 6)
    """
    found: dict[str, list[Any]] = {name: [] for name in columns}
    for path in paths:
        with _opened(path) as hdus:
            data = hdus[1].data
            for name in columns:
                found[name].append(np.array(data[name]))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def get_slot_data(
    paths: Iterable[Path], start: float, stop: float, columns: Sequence[str] | None = None
) -> np.ma.MaskedArray[Any, Any]:
    """
    Readouts from the files of one slot, like those from `mica_lake.archive.aca_l0.get_slot_data`.

    Examples
    --------
    >>> paths = sorted((demo_lake().root.parent / "files").glob("*_3_img0.fits.gz"))
    >>> len(get_slot_data(paths, 820454469.184, 820455069.184, ["TIME", "TEMPCCD"]))
    293
    """
    names = [name for name in ACA_DTYPE_NAMES if columns is None or name in columns]
    dtype = np.dtype([field for field in ACA_DTYPE if field[0] in names])
    chunks = [np.ma.zeros(0, dtype)]
    for path in paths:
        with _opened(path) as hdus:
            data = hdus[1].data
            inside = (data["TIME"] >= start) & (data["TIME"] <= stop)
            if not inside.any():
                continue
            size, in_file = data["IMGRAW"].shape[1], {name.strip().upper() for name in data.names}
            chunk = np.ma.zeros(int(inside.sum()), dtype)
            for name in names:
                if name == "IMGRAW":
                    square = np.ma.masked_all((len(chunk), 8, 8), np.float32)
                    square[:, :size, :size] = data[name][inside]
                    chunk[name] = square.reshape(-1, 64)
                elif name == "IMGSIZE":
                    chunk[name] = size
                elif name == "FILENAME":
                    chunk[name] = path.name
                elif name in in_file:
                    chunk[name] = data[name][inside]
                elif name in ("PIXTLM", "BGDTYP"):
                    chunk[name] = {"PIXTLM": "ORIG", "BGDTYP": "FLAT"}[name]
                else:
                    chunk[name] = np.ma.masked
        chunks.append(chunk)
    stacked: np.ma.MaskedArray[Any, Any] = np.ma.concatenate(chunks)
    return stacked


def get_l0_images(paths: Iterable[Path], start: float, stop: float) -> list[ACAImage]:
    """
    Images from the files of one slot, like those from `mica_lake.archive.aca_l0.get_l0_images`.

    Examples
    --------
    >>> paths = sorted((demo_lake().root.parent / "files").glob("*_3_img0.fits.gz"))
    >>> len(get_l0_images(paths, 820454469.184, 820454489.184))
    10
    """
    meta = ("TIME", "BGDAVG", "IMGSTAT", "IMGFUNC1", "IMGSCALE", "INTEG", "IMGROW0", "IMGCOL0")
    images = []
    for path in paths:
        with _opened(path) as hdus:
            data = hdus[1].data
            data = data[(data["TIME"] >= start) & (data["TIME"] <= stop) & (data["QUALITY"] == 0)]
            for row in data:
                described = {name: row[name] for name in meta}
                images.append(ACAImage(row["IMGRAW"], meta={**described, "IMGSIZE": len(row["IMGRAW"])}))
    return images


def get_aca_images(paths_by_slot: Iterable[Sequence[Path]], start: float, stop: float) -> Table:
    """
    Images of all slots in one table, with those columns of `mica_lake.archive.aca_l0.get_aca_images` that files have.

    Examples
    --------
    >>> files = demo_lake().root.parent / "files"
    >>> paths = [sorted(files.glob(f"*_{slot}_img0.fits*")) for slot in range(8)]
    >>> len(get_aca_images(paths, 820454469.184, 820454489.184))
    55
    """
    tables = []
    for paths in paths_by_slot:
        data = get_slot_data(paths, start, stop)
        data = data[data["QUALITY"] == 0]
        table = Table(
            {name: data[name] for name in data.dtype.names or () if name not in ("IMGRAW", "FILENAME", "QUALITY")}
        )
        image = np.ma.masked_all((len(data), 8, 8), np.float32)
        for size in (4, 6, 8):
            rows = data["IMGSIZE"] == size
            if rows.any():
                first = (8 - size) // 2
                pixels = data["IMGRAW"][rows].reshape(-1, 8, 8)[:, :size, :size]
                image[rows, first : first + size, first : first + size] = pixels
        table["IMG"] = image
        tables.append(table)
    stacked = vstack(tables)
    stacked.sort(["TIME", "IMGNUM1"])
    return stacked


def dark_image(path: Path) -> NDArray[np.float32]:
    """Image of a dark current calibration (e-/s), from its ``image.fits``."""
    with _opened(path) as hdus:
        return np.array(hdus[0].data, np.float32)


def warm_fractions(paths: Iterable[Path], threshold: float) -> list[float]:
    """Fraction of pixels above a threshold (e-/s) in each calibration, from their ``image.fits``."""
    return [float(np.count_nonzero(dark_image(path) > threshold)) / 1024**2 for path in paths]


def obspar(path: Path) -> dict[str, Any]:
    """Parameters of an observation from its obspar file, like those from `mica_lake.archive.obspar.get_obspar`."""
    kinds: dict[str, Any] = {"s": str, "i": int, "r": float}
    found: dict[str, Any] = {}
    for name, kind, _, value, *_ in csv.reader(StringIO(decompress(read(path, MAX_BYTES)).decode(), newline="")):
        found[name.replace("-", "_")] = kinds[kind](value) if value or kind == "s" else None
    found["num_ccd_on"] = sum(value == "Y" for name, value in found.items() if name[:3] == "ccd" and name[5:] == "_on")
    return found


def aspect_solution(paths: Iterable[Path]) -> dict[str, Any]:
    """Aspect solution of an observation, from its ASPSOL files in time order."""
    return read_columns(paths, ["time", "ra", "dec", "roll", "dy", "dz", "dtheta", "q_att"])
