"""A small simulated lake for examples, made once."""

import os
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

from mica_lake.ingest import aca_l0 as ingest_aca_l0
from mica_lake.ingest import follow
from mica_lake.lake import Lake
from mica_lake.products import PRODUCTS
from mica_lake.simulate import aca0_list, aca_l0, dark_cal, stats
from mica_lake.simulate.days import Days
from mica_lake.simulate.observations import observations
from mica_lake.times import cxcsec

START, STOP = "2024:001", "2024:001:02:00"
_APART = ("aca_l0", "aca0_list", "dark_cal")


def demo_lake(of: str = "two hours") -> Lake:
    """
    A small simulated lake to try things on.

    The first call makes it (10 s, 60 MB) in `mica-lake` in the user's cache folder, ``$XDG_CACHE_HOME`` or
    ``~/.cache``; from then on it is there. Remove that folder whenever you like. For a whole day there is
    ``mica-lake demo``.

    Parameters
    ----------
    of : {'two hours', 'twenty years'}
        Two hours of all slots from 2024:001 on, the observations of that time with all that is known of them, and
        two dark current calibrations; or the statistics of stars of twenty years, which models can be fitted to.

    Returns
    -------
    Lake
        The lake. Its path, for `data_root` or ``$MICA_LAKE``, is its `root`.

    Raises
    ------
    ValueError
        If there is no such lake.
    ImportError
        If h5py is absent, which writes the statistics: ``pip install 'mica-lake[stats]'``.

    Examples
    --------
    >>> from mica_lake import demo_lake
    >>> lake = demo_lake()
    >>> lake.sql("SELECT count(*) FROM slot_data('2024:001', '2024:001:00:10', 3)").fetchall()
    [(293,)]
    """
    if of not in _PARTS:
        raise ValueError(f"of {of!r} is not one of {', '.join(map(repr, _PARTS))}")
    folder = _cache() / f"{of.replace(' ', '-')}-{version('mica-lake')}"
    if not (folder / "lake").is_dir() and sys.stderr.isatty():
        print(f"making the demo's lake, once, in {folder}: about 10 s", file=sys.stderr)
    # The files first: the lake records where they are.
    for name, make in _PARTS[of].items():
        _once(folder, name, make)
    return Lake(folder / "lake")


def _cache() -> Path:
    """The folder for what can be made again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mica-lake"


def _once(folder: Path, name: str, make: Callable[[Path, Path], None]) -> None:
    """Make a part of the demo beside its place, and put it there when it is whole, unless somebody else was first."""
    if (folder / name).is_dir():
        return
    folder.mkdir(parents=True, exist_ok=True)
    beside = Path(mkdtemp(prefix=f".{name}-", dir=folder))
    try:
        make(folder, beside / name)
        (beside / name).rename(folder / name)
    except OSError:
        if not (folder / name).is_dir():
            raise
    finally:
        rmtree(beside)


def _write_files(folder: Path, to: Path) -> None:
    """Write ACA level 0 files of two hours: slots 3 to 5 are 6x6, the others 8x8."""
    aca_l0.write_archive(to, cxcsec(START), cxcsec(STOP), hard_cases=False)


def _write_ska(folder: Path, to: Path) -> None:
    """Write a $SKA root with the observations of those hours, their products and statistics, and two calibrations."""
    hours = Days(to, cxcsec(START), cxcsec(STOP))
    others = (product for product in PRODUCTS if product.folder and product.name not in _APART)
    for package, name in dict.fromkeys((product.package, product.described_in) for product in others):
        import_module(f"{package}.simulate.{name}").write_days(hours, lambda done: None)
    for dark_id in ("2022069", "2023341"):
        dark_cal.write_calibration(to, dark_id)


def _write_list(folder: Path, to: Path) -> None:
    """Write a $SKA root with the archive's own list of the files."""
    aca0_list.write_archive(to, [path.name for path in (folder / "files").iterdir()])


def _ingest(folder: Path, to: Path) -> None:
    """Take all of it into a lake."""
    ingest_aca_l0.ingest([folder / "files"], to, jobs=1)
    for product in PRODUCTS:
        if product.folder and product.name not in ("aca_l0", "aca0_list"):
            follow.ingest(product.name, folder / "ska", to, jobs=1)
    follow.ingest("aca0_list", folder / "list", to, jobs=1)


def _write_stats(folder: Path, to: Path) -> None:
    """Write a $SKA root with the statistics of 1,594 observations of twenty years."""
    stats.write_archive(to, observations(cxcsec("2004:001"), cxcsec("2024:001"))[::20])


def _ingest_stats(folder: Path, to: Path) -> None:
    """Take them into a lake, and fit the models."""
    for product in ("acq_stats", "guide_stats"):
        follow.ingest(product, folder / "ska", to, jobs=1)


_PARTS = {
    "two hours": {"files": _write_files, "ska": _write_ska, "list": _write_list, "lake": _ingest},
    "twenty years": {"ska": _write_stats, "lake": _ingest_stats},
}
