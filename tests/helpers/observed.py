"""An observation of which there is everything that a page can show, in files that the simulators write."""

import gzip
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mica_lake.formats.starcheck import read_starcheck
from mica_lake.ingest import follow
from mica_lake.ingest.aca_l0 import ingest
from mica_lake.simulate import aca_l0, obspar, starcheck, stats
from mica_lake.simulate.files import hdf5, write
from mica_lake.simulate.observations import Observation, observations
from mica_lake.tables.stat_columns import row_dtype

HOSTILE = "<script>alert(1)</script> & <b>M31</b>"
# What stands at the type of each entry of the catalog, by its place.
KINDS = ("FID", "FID", "GUI", "BOT", "BOT", "ACQ", "BOT", "MON")


def some() -> list[Observation]:
    """Two observations that follow each other."""
    return [one for one in observations(7e8, 7e8 + 60000) if one.detector != "NONE" and one.default is not None][:2]


def write_everything(ska: Path) -> Observation:
    """Write the files of an observation, all odd things in them, and of one beside it."""
    one, other = some()
    name = 'object,s,h,"'
    for path in obspar.write_archive(ska, [one, other]):
        lines = gzip.decompress(path.read_bytes()).decode().splitlines()
        hostile = [f'{name}{HOSTILE}",,,"Object"' if line.startswith(name) else line for line in lines]
        path.write_bytes(gzip.compress(("\n".join(hostile) + "\n").encode()))
    stats.write_archive(ska, [one, other])
    _spoil(ska / "data/acq_stats/acq_stats.h5", one.obsid)
    _catalog(ska, one, other)
    write(ska / "data/mica/archive/vv/vv.h5", hdf5(_residuals(one), "vv"))
    return one


def write_lake(folder: Path) -> tuple[str, Observation]:
    """A lake of these files and of the readouts of slot 6, whose header 3 has the temperature."""
    one = write_everything(folder / "ska")
    aca_l0.write_archive(folder / "files", one.tstart - 100, one.tstop + 100, slots=[6])
    ingest([folder / "files"], folder / "lake", jobs=1)
    for product in ("obspar", "acq_stats", "guide_stats", "starcheck", "vv"):
        follow.ingest(product, folder / "ska", folder / "lake", jobs=1)
    return str(folder / "lake"), one


def _spoil(path: Path, obsid: int) -> None:
    """Let a spoiler be tracked in slot 4, slot 5 be known to be bad, and nothing be tracked in slot 6."""
    with h5py.File(path) as file:
        rows = file["data"][()]
    spoilt = (rows["obsid"] == obsid) & (rows["slot"] == 4)
    rows["spoiler_tracked"][spoilt], rows["acqid"][spoilt], rows["img_func"][spoilt] = True, False, b"spoiler"
    rows["yang_obs"][spoilt], rows["zang_obs"][spoilt] = rows["yang"][spoilt] + 115, rows["zang"][spoilt] + 90
    bad = (rows["obsid"] == obsid) & (rows["slot"] == 5)
    rows["known_bad"][bad], rows["bad_comment"][bad] = True, b"<i>odd</i>"
    none = (rows["obsid"] == obsid) & (rows["slot"] == 6)
    rows["acqid"][none], rows["img_func"][none] = False, b"RACQ"
    for name in ("mag_obs", "dy", "dz", "cdy", "cdz", "yang_obs", "zang_obs"):
        rows[name][none] = 0
    write(path, hdf5(rows, "data"))


def _catalog(ska: Path, one: Observation, other: Observation) -> None:
    """Let the catalog have entries of each kind, and findings of a spoiler."""
    path, *_ = starcheck.write_archive(ska, [one, other])
    planned = read_starcheck(path)
    for n, found in enumerate(planned):
        if found.obsid == one.obsid:
            entries = [entry | {"type": kind} for entry, kind in zip(found.catalog, KINDS, strict=True)]
            entries[-1] |= {"id": None, "mag": None, "maxmag": None, "p_acq": None}
            findings: list[dict[str, Any]] = [
                {"warning": " <img src=x>", "idx": entries[4]["idx"], "warning_type": "Search Spoiler"},
                {"warning": " Guide star 10.700", "idx": entries[3]["idx"], "warning_type": " Magnitude"},
            ]
            planned[n] = replace(found, catalog=entries, warnings=findings)
    folder = path.parent
    load = f"{folder.parent.name}{folder.name[-1].upper()}"
    starcheck.write_report(folder.parents[2], load, planned, path.stat().st_mtime)


def _residuals(one: Observation) -> np.ndarray:
    """Residuals of eight slots: of slot 3 one outside its limit, of slot 6 one to look at, of slot 7 none known."""
    rows = np.zeros(8, row_dtype("vv_rms"))
    rows["obsid"], rows["revision"], rows["isdefault"] = one.obsid, one.default, 1
    rows["tstart"], rows["tstop"] = one.tstart, one.tstop
    rows["slot"], rows["n_pts"], rows["mag_med"] = np.arange(8), 1000 + np.arange(8), 7.25
    rows["type"] = [b"FID"] * 2 + [b"GUIDE"] * 6
    rows["dy_rms"] = [0.011, 0.012, 0.1, 0.512, 0.1, 0.1, 0.301, np.nan]
    rows["dz_rms"] = 0.02
    return rows
