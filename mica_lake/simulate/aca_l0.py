"""Simulate ACA L0 telemetry: FITS files that look like flight ones, marked as simulated in their headers.

What is in them is a function of a seed and of time alone (`mica_lake.simulate.camera`), so that any two files of a seed
fit together.
"""

import math
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from operator import methodcaller
from pathlib import Path

import numpy as np
from astropy.time import Time
from numpy.typing import NDArray

from mica_lake.simulate import fits_file
from mica_lake.simulate.camera import HDR3, RATE, STEP, ZERO, check, readouts, times, vcdu_of
from mica_lake.simulate.days import Days
from mica_lake.simulate.dwells import dwells, generator
from mica_lake.simulate.files import each, gzipped, write
from mica_lake.simulate.fits_file import Cards

__all__ = ["readouts", "times", "write_archive", "write_days", "write_file"]

_CADENCE = {4: 1.025, 6: 2.05, 8: 4.1}

_ABOUT: dict[str, fits_file.Column] = {
    "TIME": ("time of the readout", "s", None),
    "QUALITY": ("quality of the readout: 0 good, 1 bad", "", None),
    "MJF": ("major frame counter", "", (0, 131071)),
    "MNF": ("minor frame counter", "", None),
    "END_INTEG_TIME": ("time at the end of the integration", "s", None),
    "INTEG": ("integration time", "s", None),
    "PIXTLM": ("which pixel values are telemetered", "", None),
    "BGDTYP": ("which background is subtracted", "", None),
    "GLBSTAT": ("global status bits", "", (0, 255)),
    "COMMCNT": ("command counter", "", (0, 63)),
    "COMMPROG": ("command progress", "", (0, 63)),
    "IMGSTAT": ("image status bits", "", (0, 255)),
    "IMGROW0": ("CCD row of the first pixel", "", (-511, 512)),
    "IMGCOL0": ("CCD column of the first pixel", "", (-511, 512)),
    "IMGSCALE": ("scale factor of the pixels", "", (0, 1023)),
    "BGDAVG": ("mean of the background pixels", "DN", None),
    "BGDRMS": ("scatter of the background pixels", "DN", None),
    "TEMPCCD": ("temperature 1: CCD", "K", None),
    "TEMPHOUS": ("temperature 2: camera housing", "K", None),
    "TEMPPRIM": ("temperature 3: lens cell", "K", None),
    "TEMPSEC": ("temperature 4: secondary mirror", "K", None),
    "BGDSTAT": ("background pixel status bits", "", (0, 255)),
    "IMGRAW": ("pixels of the image", "DN", None),
}
for _i in range(1, 5):
    _ABOUT[f"IMGFID{_i}"] = (f"is a fid light, header copy {_i}", "", (0, 1))
    _ABOUT[f"IMGNUM{_i}"] = (f"image slot, header copy {_i}", "", (0, 7))
    _ABOUT[f"IMGFUNC{_i}"] = (f"1 track, 3 search, header copy {_i}", "", (0, 3))
for _name in HDR3:
    _ABOUT[_name] = (f"header 3 telemetry: image type {_name[-2]}, word {_name[-1]}", "", None)

_TABLE = """CREATE TABLE IF NOT EXISTS archfiles (
    filename text PRIMARY KEY, filetime int NOT NULL, year int NOT NULL, doy int NOT NULL,
    tstart float NOT NULL, tstop float NOT NULL, startmjf int, startmnf int, stopmjf int, stopmnf int,
    checksum text, tlmver text, ascdsver text, revision int, date text NOT NULL,
    rows int NOT NULL, imgsize int NOT NULL, slot int NOT NULL)"""


def _text(*lines: str) -> Cards:
    return [("COMMENT", line, "") for line in lines]


def _title(name: str) -> Cards:
    return _text("", f"                       / {name} block".ljust(64, "-"), "")


_BANNER = _text(
    "                              +------------------+",
    "                              |  SIMULATED FILE  |",
    "                              +------------------+",
    " *********************************************************",
    " >   Made by mica_lake.simulate: no flight data in it    <",
    " >   Laid out as an ACA level 0 file of the CXC archive  <",
    " *********************************************************",
)


def _keywords(
    time: NDArray[np.float64], imgsize: int, revision: int, overrides: Mapping[str, object]
) -> dict[str, object]:
    """The keywords that depend on the data: the interval in times, dates and frames, and the versions."""
    time = time[np.isfinite(time)]
    tstart, tstop = (overrides.get(key) for key in ("TSTART", "TSTOP"))
    if len(time):
        first, last = vcdu_of([time.min(), time.max()])
        tstart = ZERO + RATE * first if tstart is None else tstart
        tstop = ZERO + RATE * (last + STEP[imgsize]) if tstop is None else tstop
    if tstart is None or tstop is None:
        raise ValueError("TIME has no finite value: give TSTART and TSTOP in header")
    start, stop = float(str(tstart)), float(str(tstop))
    begin, end = (round((t - ZERO) / RATE) for t in (start, stop))

    def date(seconds: float) -> str:
        return (datetime(1998, 1, 1) + timedelta(seconds=math.floor(seconds))).isoformat()

    return {
        "TSTART": start,
        "TSTOP": stop,
        "DATE": date(stop + 43200 * revision),
        "DATE-OBS": date(start),
        "DATE-END": date(stop),
        "STARTMJF": begin // 128 % 131072,
        "STARTMNF": begin % 128,
        # The last count inside the interval.
        "STOPMJF": (end - 1) // 128 % 131072,
        "STOPMNF": (end - 1) % 128,
        "TIMEDEL": _CADENCE[imgsize],
        "REVISION": revision,
        "TLMVER": "P014",
        "ASCDSVER": "10.8",
    }


def _fits_bytes(
    slot: int, columns: Mapping[str, np.ndarray], revision: int, overrides: Mapping[str, object]
) -> tuple[bytes, dict[str, object]]:
    """The content of a file, and its row in the table of files (without the folder)."""
    check(slot, 8)
    columns = {name: np.atleast_1d(column) for name, column in columns.items()}
    table, formats = fits_file.table(columns, _ABOUT)
    data = fits_file.padded(table.tobytes())
    image = columns.get("IMGRAW", np.empty(0))
    # A broken image has no size; its file claims to be 8x8.
    imgsize = image.shape[1] if image.ndim == 3 and image.shape[1] in STEP else 8
    time = columns.get("TIME", np.empty(0))
    time = time.astype(np.float64) if time.dtype.kind in "fiu" else np.empty(0)
    keywords = _keywords(time, imgsize, revision, overrides)

    def of(key: str, comment: str) -> tuple[str, object, str]:
        return key, keywords[key], comment

    dates: Cards = [
        of("DATE", "derived from TSTOP, not the time of writing"),
        of("DATE-OBS", "start of the data (TT)"),
        of("DATE-END", "end of the data (TT)"),
    ]
    clock: Cards = [
        ("TIMESYS", "TT", "time system"),
        ("MJDREF", 50814.0, "[d] MJD of time 0"),
        ("TIMEZERO", 0.0, "[s] clock correction"),
        ("TIMEUNIT", "s", "unit of time"),
        ("CLOCKAPP", True, "clock correction applied"),
    ]
    span: Cards = [of("TSTART", "[s] start of the data"), of("TSTOP", "[s] end of the data")]
    maker: Cards = [("ORIGIN", "SIMULATED", "not flight data"), ("CREATOR", "mica_lake.simulate", "program")]
    craft: Cards = [
        ("MISSION", "AXAF", "mission"),
        ("TELESCOP", "CHANDRA", "telescope"),
        ("INSTRUME", "PCAD", "instrument"),
    ]

    primary: Cards = [
        ("SIMPLE", True, "conforms to the FITS standard"),
        ("BITPIX", 8, "bits per value"),
        ("NAXIS", 0, "no data here"),
        ("EXTEND", True, "extensions follow"),
        *_BANNER,
        *_title("Observation information"),
        *craft,
        *_title("Time information"),
        *dates,
        *clock,
        *span,
        *_title("Configuration control"),
        *maker,
    ]
    extension: Cards = [
        ("XTENSION", "BINTABLE", "binary table"),
        ("BITPIX", 8, "bits per value"),
        ("NAXIS", 2, "rows of bytes"),
        ("NAXIS1", table.dtype.itemsize, "bytes in a row"),
        ("NAXIS2", len(table), "rows"),
        ("PCOUNT", 0, "no further data"),
        ("GCOUNT", 1, "one table"),
        ("TFIELDS", len(columns), "columns"),
        ("EXTNAME", "ACA_IMG0", "whatever the slot"),
        *_BANNER,
        *_title("Configuration control"),
        *maker,
        of("ASCDSVER", "version of the processing system"),
        of("TLMVER", "version of the telemetry database"),
        of("REVISION", "revision of the file"),
        ("CONTENT", "ACAIMG", "kind of data"),
        ("HDUNAME", "ACADATA", "name of the HDU"),
        ("HDUSPEC", "ACA Level 0 Data Products ICD Version 1.0", ""),
        ("HDUDOC", "ASC-FITS-2.0", ""),
        ("HDUVERS", "1.0.0", ""),
        ("HDUCLASS", "ASC", ""),
        ("HDUCLAS1", "TEMPORALDATA", ""),
        ("HDUCLAS2", "ACADATA", ""),
        ("LONGSTRN", "OGIP 1.0", "no long strings here"),
        *_title("Time information"),
        *dates,
        *clock,
        ("BTIMNULL", ZERO, "[s] time of VCDU count 0"),
        ("BTIMRATE", RATE, "[s] duration of a VCDU count"),
        ("BTIMDRFT", 0.0, "[s] drift of the clock per squared count"),
        ("BTIMCORR", 0.0, "[s] correction of the rate"),
        ("TIMEREF", "LOCAL", "no path length corrections"),
        ("TASSIGN", "SATELLITE", "the spacecraft's clock"),
        ("TIERRELA", 1e-9, "stability of the clock"),
        ("TIERABSO", 5e-5, "precision of the clock"),
        ("TIMVERSN", "ASC-FITS-2.0", ""),
        *span,
        of("STARTMJF", "major frame at the start of the data"),
        of("STARTMNF", "minor frame at the start of the data"),
        ("STARTOBT", 0.0, "on-board time at the start"),
        of("STOPMJF", "major frame at the end of the data"),
        of("STOPMNF", "minor frame at the end of the data"),
        ("TIMEPIXR", 0.0, "reference of the time in its bin"),
        of("TIMEDEL", "[s] time between readouts"),
        *_title("Observation information"),
        *craft,
        ("TLM_FMT", 2, "telemetry format"),
        *_title("Column format information"),
        *formats,
        *_title("History information"),
        ("HISTORY", f"TOOL  :mica_lake.simulate.aca_l0 slot {slot}", ""),
        ("HISTORY", "Simulated: stars, temperatures and background are drawn at random.", ""),
    ]
    # Of the overrides, the primary header takes those of keywords that it has.
    shared = {key: value for key, value in overrides.items() if key in {card[0] for card in primary}}
    head, _ = fits_file.header(primary, shared, b"")
    middle, checksum = fits_file.header(extension, overrides, data)
    row = {key.lower(): value for key, value in keywords.items()}
    name = f"acaf{math.floor(float(str(keywords['TSTART']))):09d}N{revision:03d}_{slot}_img0.fits"
    row |= {"filename": name, "checksum": checksum, "rows": len(table), "imgsize": imgsize, "slot": slot}
    return head + middle + data, row


def write_file(
    directory: Path,
    slot: int,
    columns: Mapping[str, np.ndarray],
    *,
    revision: int = 1,
    compress: bool = True,
    header: Mapping[str, object] | None = None,
) -> Path:
    """Write columns as one ACA L0 FITS file.

    Its name is made of TSTART, revision and slot. The columns may be broken (one missing, another dtype, NaN in TIME,
    another shape of IMGRAW): they are written as they are.

    Parameters
    ----------
    directory : Path
        Its folder, made if it is missing. A file of the same name there is replaced.
    slot : int
        Image slot, 0 to 7.
    columns : mapping of str to ndarray
        As from `readouts`; uint16 is written as int16 with TZERO 32768.
    revision : int
        Revision of the file, in its name and header.
    compress : bool
        Whether to gzip the file, as flight files are.
    header : mapping of str to str, bool, int, float or None, optional
        Keywords to set, or to leave out (None), whatever the columns say. TSTART also changes the name.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ValueError
        If there is no such slot, the columns differ in length or have a dtype that a FITS table lacks, TIME has no
        finite value and `header` no TSTART and TSTOP, or a header value does not fit on a card.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from mica_lake.simulate import aca_l0
    >>> columns = aca_l0.readouts(3, 6, aca_l0.times(7e8, 7e8 + 60, 6))
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     aca_l0.write_file(Path(directory), 3, columns, revision=2).name
    'acaf700000003N002_3_img0.fits.gz'
    """
    content, row = _fits_bytes(slot, columns, revision, header or {})
    return _write(Path(directory), row, content, compress)


def _write(directory: Path, row: dict[str, object], content: bytes, compress: bool) -> Path:
    return write(directory / f"{row['filename']}{'.gz' * compress}", gzipped(content) if compress else content)


@dataclass(frozen=True)
class _File:
    """A file of an archive: all that a process needs to know to make it."""

    directory: Path
    ska: bool
    slot: int
    imgsize: int
    start: float
    stop: float
    seed: int
    newer: bool
    incomplete: bool = False
    revision: int = 1
    compress: bool = True
    late: float = 0.0
    current: bool = True
    phase: int = 0

    @property
    def times(self) -> NDArray[np.float64]:
        return times(self.start, self.stop, self.imgsize, phase=self.phase)

    def write(self) -> tuple[Path, dict[str, object] | None]:
        """Write the file; returns its path and, if it is current, its row in the table of files."""
        columns = readouts(self.slot, self.imgsize, self.times, seed=self.seed, newer=self.newer)
        if self.incomplete:
            for name in HDR3:
                columns[name][-1] = 0
        tstart = ZERO + RATE * vcdu_of(columns["TIME"][0]) + self.late
        content, row = _fits_bytes(self.slot, columns, self.revision, {"TSTART": tstart} if self.late else {})
        filetime = math.floor(tstart)
        year, doy = Time(filetime, format="cxcsec").utc.yday.split(":")[:2]
        directory = self.directory / year / doy if self.ska else self.directory
        path = _write(directory, row, content, self.compress)
        row |= {"filename": path.name, "filetime": filetime, "year": int(year), "doy": int(doy)}
        return path, row if self.current else None


def _segments(
    start: float, stop: float, seed: int, file_seconds: float, hard_cases: bool
) -> Iterator[tuple[float, float, list[int]]]:
    """Cut an interval into files: start and stop, and the image size of each slot."""
    phases = [(start, stop, 6)]
    if hard_cases:
        covering = dwells(seed, start, stop).values()
        phases = [p for d in covering for p in ((d.acquire, d.track, 8), (d.track, d.stop, d.imgsize))]
    length = math.floor(file_seconds / (STEP[8] * RATE))
    for begin, end, imgsize in phases:
        # On the grid of 8x8, so that all slots start together and each file ends where the next begins.
        edges = times(max(start, begin), max(start, begin, min(stop, end)), 8)[::length]
        final = min(stop, float(times(end, end + 5, 8)[0]))
        for a, b in pairwise([*edges.tolist(), final]):
            # Header 3 of slots 6 and 7 has ccd_temp.
            yield a, b, [8] * 3 + [imgsize] * 3 + [8] * 2


def _plan(
    directory: Path,
    start: float,
    stop: float,
    seed: int,
    slots: Sequence[int],
    file_seconds: float,
    newer: bool,
    hard_cases: bool,
    in_phase: bool,
    ska: bool,
) -> Iterator[_File]:
    """The files of an archive; some may have no readouts."""
    segments = list(_segments(start, stop, seed, file_seconds, hard_cases))
    for i, (a, b, sizes) in enumerate(segments):
        following = segments[i + 1] if i + 1 < len(segments) else (b, b, [8] * 8)
        for slot in slots:
            incomplete = sizes[slot] == 8 and (following[0] != b or following[2][slot] != 8)
            phase = 0 if in_phase else int(generator(seed, 0, 4, slot).integers(4))
            file = _File(directory, ska, slot, sizes[slot], a, b, seed, newer, incomplete, phase=phase)
            # Another seed, so that a superseded readout can be told from a current one.
            old = replace(file, seed=seed + 2**32, current=False)
            if hard_cases and i == 0 and slot == slots[-1]:
                yield replace(file, compress=False)
            elif hard_cases and i % 8 == 1 and slot == slots[len(slots) // 2]:
                yield old
                yield replace(file, revision=2)
            elif hard_cases and i % 8 == 2 and slot == slots[len(slots) * 3 // 4]:
                yield replace(old, stop=(a + b) / 2, incomplete=False, late=1.0)
                yield replace(file, revision=2)
            else:
                yield file


def write_archive(
    root: Path,
    start: float,
    stop: float,
    *,
    seed: int = 0,
    slots: Sequence[int] = range(8),
    file_seconds: float = 6430.0,
    newer: bool = False,
    hard_cases: bool = True,
    in_phase: bool = True,
    ska: bool = False,
    jobs: int = 1,
    progress: Callable[[int], None] | None = None,
) -> list[Path]:
    """Write the ACA L0 files of an interval.

    Parameters
    ----------
    root : Path
        Folder of the files, made if it is missing. With `ska`, the folder that $SKA names.
    start, stop : float
        Interval in CXC seconds.
    seed : int
        What is written depends on the seed and the other arguments, but not on `jobs`.
    slots : sequence of int
        Image slots.
    file_seconds : float
        Greatest duration of a file (s). All slots are cut at the same times.
    newer : bool
        Whether to add the columns PIXTLM and BGDTYP, as in files since 2023.
    hard_cases : bool
        With: dwells that begin with a gap or without one, acquire in 8x8 and track in 4x4, 6x6 or 8x8 (slots 3 to 5;
        the others always in 8x8); incomplete 8x8 headers before a gap or a change of size; one file uncompressed; and
        superseded files of revision 1 beside revision 2, some of the same interval, some that start a second later and
        end half-way. A superseded file has values of its own. Without: only revision 1, slots 3 to 5 always 6x6, the
        others 8x8, no gaps.
    in_phase : bool
        Whether all slots are read out together. If not, each is 0 to 3 steps of 1.025 s late, by the seed.
    ska : bool
        Whether to lay the files out as mica does, in data/mica/archive/aca0/YYYY/DDD, and list the current ones in the
        table archfiles of archfiles.db3 (SQLite) there.
    jobs : int
        Processes to use.
    progress : callable, optional
        Called after each file with the number of files done.

    Returns
    -------
    list of Path
        The FITS files, sorted.

    Raises
    ------
    ValueError
        If a slot does not exist or comes twice, `stop` is before `start`, `file_seconds` is too short for an 8x8
        image, or `jobs` is below 1.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from mica_lake.simulate import aca_l0
    >>> with tempfile.TemporaryDirectory() as root:
    ...     [p.name for p in aca_l0.write_archive(Path(root), 7e8, 7e8 + 60, slots=[0, 3], hard_cases=False)]
    ['acaf700000003N001_0_img0.fits.gz', 'acaf700000003N001_3_img0.fits.gz']
    """
    for slot in slots:
        check(slot, 8)
    if not slots or len(set(slots)) < len(slots):
        raise ValueError(f"slots {list(slots)} must be one slot or more, each once")
    if file_seconds < 5:
        raise ValueError(f"file_seconds {file_seconds!r} must be 5 or more, to hold an 8x8 readout")
    times(start, stop, 8)  # for its checks
    top = Path(root) / "data/mica/archive/aca0" if ska else Path(root)
    files = _plan(top, start, stop, seed, slots, file_seconds, newer, hard_cases, in_phase, ska)
    plan = [file for file in files if len(file.times)]
    results = each(methodcaller("write"), plan, jobs, chunksize=4)
    top.mkdir(parents=True, exist_ok=True)
    done: list[tuple[Path, dict[str, object] | None]] = []
    for result in results:
        done.append(result)
        if progress is not None:
            progress(len(done))
    if ska:
        _list_files(top / "archfiles.db3", [row for _, row in done if row])
    return sorted(path for path, _ in done)


def _list_files(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(_TABLE)
        names = [row[1] for row in db.execute("PRAGMA table_info(archfiles)")]
        marks = ", ".join(f":{name}" for name in names)
        db.executemany(f"INSERT OR REPLACE INTO archfiles VALUES ({marks})", rows)


def write_days(days: Days, progress: Callable[[int], None]) -> list[Path]:
    """Write the telemetry of some days."""
    return write_archive(days.ska, days.start, days.stop, ska=True, jobs=days.jobs, progress=progress)
