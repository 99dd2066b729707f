"""
Dark current: from folders ``YYYYDOY/{image.fits,properties.json}`` to tables `dark_cal` and `dark_cal_image`.

`dark_cal_distribution` is derived from the images: how many pixels of each are warmer than a value, for each value that
occurs and on a grid. Sorted by value, it gives the number above any threshold without reading an image.
"""

import json
import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mica_lake.catalog.key import EPOCH, Key
from mica_lake.catalog.partition import checksum, read_partition
from mica_lake.catalog.version import pin
from mica_lake.errors import BadFile
from mica_lake.formats.dark_cal import (
    LARGEST,
    LARGEST_PROPERTIES,
    SIDE,
    read_image,
    read_properties,
    start_of,
    temperature_of,
    text_of,
)
from mica_lake.formats.on_disk import leads_nowhere
from mica_lake.formats.on_disk import read as read_file
from mica_lake.ingest import follow
from mica_lake.ingest.follow import Part, Written
from mica_lake.ingest.found import Found, Rejected, Taken, entries_of, found_in, is_folder, place, rejected
from mica_lake.ingest.source_files import SourceFiles, derived_from
from mica_lake.ingest.wide import table_of, widest
from mica_lake.store.place import LakePath
from mica_lake.tables.dark_cal import DARK_CAL, DARK_CAL_DISTRIBUTION, DARK_CAL_IMAGE

NAME = re.compile(r"\d{7}", re.ASCII)

_IMAGE, _PROPERTIES = "image.fits", "properties.json"

# Close enough that a query finds a level of each calibration a little below any threshold; see sql/dark_cal.sql.
GRID = np.exp2(np.arange(-80, 161) / 8).astype(np.float32)

_TYPES = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}


def discover(top: Path) -> tuple[list[Found], list[Rejected]]:
    """The files of the calibrations below a folder."""
    found, refused = [], []
    seen: dict[str, str] = {}
    for entry in entries_of(top):
        named = NAME.fullmatch(entry.name)
        if not is_folder(entry):
            if named:
                refused.append(Rejected(place(entry.path), leads_nowhere(entry.path) or "it should be a folder"))
            continue
        try:
            names = {below.name for below in entries_of(entry)}
        except OSError as error:
            refused.append(rejected(place(entry.path), error))
            continue
        missing = [name for name in (_IMAGE, _PROPERTIES) if name not in names]
        first = seen.setdefault(os.path.realpath(entry.path), entry.name)
        if not named:
            if len(missing) < 2 and first == entry.name:
                reason = f"it has {' and '.join(sorted({_IMAGE, _PROPERTIES} & names))}, but its name is not YYYYDOY"
                refused.append(Rejected(place(entry.path), reason))
        elif first != entry.name and NAME.fullmatch(first):
            refused.append(Rejected(place(entry.path), f"it leads to the folder {first}"))
        elif missing:
            refused.append(Rejected(place(entry.path), f"it has no {' and no '.join(missing)}"))
        else:
            found += [found_in(entry.path, name) for name in (_PROPERTIES, _IMAGE)]
    return sorted(found, key=lambda f: (f.directory, f.filename == _IMAGE)), refused


def _judge(found: Found) -> Taken | Rejected:
    try:
        content = read_file(found.path, LARGEST if found.filename == _IMAGE else LARGEST_PROPERTIES)
        if found.filename == _IMAGE:
            read_image(content)
            return Taken(found, checksum(content), {"rows": SIDE * SIDE})
        dark_id = Path(found.directory).name
        start = start_of(read_properties(content, dark_id), dark_id)
        return Taken(found, checksum(content), {"tstart": start, "rows": 1})
    except Exception as error:  # whatever one file raises, the others go in
        return rejected(found, error)


@dataclass(frozen=True)
class ImageJob:
    """
    An image to ingest.

    Attributes
    ----------
    root : path
        The lake.
    dark_id : str
        The calibration.
    time : float
        Its start, CXC seconds.
    found : Found
        Its file.
    checksum : str
        SHA-256 of the file.
    derived_from : str
        What the partition is made from.
    existing : Path or None
        The partition so far, if its pixels are of this file.
    """

    root: LakePath
    dark_id: str
    time: float
    found: Found
    checksum: str
    derived_from: str
    existing: Path | None = None


def build_image(job: ImageJob) -> dict[str, Any] | Rejected:
    """Build the partition of an image; it is written, but not committed."""
    try:
        content = read_file(job.found.path, LARGEST)
        if checksum(content) != job.checksum:
            raise BadFile("its rows must be read again, but it is another file now")
        values = read_image(content).ravel()
    except Exception as error:  # whatever one file raises, the others go in
        if job.existing is None:
            return rejected(job.found, error)
        values = read_partition(job.existing, columns=["value"]).column("value").to_numpy()
    axis = np.arange(-SIDE // 2, SIDE // 2, dtype=np.int16)
    rows = pa.Table.from_arrays(
        [
            pa.repeat(job.dark_id, len(values)),
            pa.repeat(job.time, len(values)),
            pa.array(np.repeat(axis, SIDE)),
            pa.array(np.tile(axis, SIDE)),
            pa.array(values),
        ],
        schema=DARK_CAL_IMAGE.schema,
    )
    return pin(job.root, DARK_CAL_IMAGE, _image_key(job.dark_id), rows, [], job.derived_from)


def distribution(path: Path) -> pa.Table:
    """How many pixels of an image are warmer than a value."""
    rows = read_partition(path, columns=["dark_id", "time", "value"])
    values = rows.column("value").to_numpy()
    finite = np.sort(values[~np.isnan(values)])
    levels = np.unique(np.concatenate([finite, GRID, [np.float32(-np.inf)]]))
    warmer = len(finite) - np.searchsorted(finite, levels, "right")
    constants = (pa.repeat(rows.column(name)[0], len(levels)) for name in ("dark_id", "time"))
    return pa.Table.from_arrays(
        [pa.array(levels), *constants, pa.array(warmer.astype(np.int32))], schema=DARK_CAL_DISTRIBUTION.schema
    )


def _image_key(dark_id: str) -> Key:
    return Key(datetime.strptime(dark_id, "%Y%j").date())


class DarkCal(Part):
    """The calibrations: each is taken whole or, if one of its files is bad, set aside whole."""

    name, table = DARK_CAL.name, DARK_CAL.name
    judge = staticmethod(_judge)

    def discover(self) -> list[Found | Rejected]:
        """The files of the calibrations that have both."""
        found, refused = discover(self.top)
        self._folders = {Path(f.directory).name for f in found}
        return [*found, *refused]

    def recorded(self) -> Iterator[dict[str, Any]]:
        """The files that `dark_cal` names."""
        return _recorded(self.root, self.partitions)

    def present(self) -> list[str]:
        """The files whose rows are in the tables."""
        return _present(self.root, self.partitions)

    def note(self, refused: Sequence[Rejected], judged: Sequence[Taken | Rejected]) -> None:
        """Record calibrations as whole or bad, and those that are gone."""
        self.files.note([*refused, *_whole(judged, self.files)])
        _withdraw(self.files, self.top, self._folders, {r.found.filename for r in refused})

    def make(self) -> Written:
        """The images, then what is derived from them."""
        return _build(self.root, self.files, self.partitions, self.run.pools(len(self.files.fresh)))


def _present(root: LakePath, here: dict[tuple[str, int], dict[str, Any]]) -> list[str]:
    """Names of the files whose content is in the lake."""
    names = [f"{row['dark_id']}/{_PROPERTIES}" for row in _so_far(root, here)]
    days = [EPOCH.toordinal() + day for table, day in here if table == DARK_CAL_IMAGE.name]
    return names + [f"{date.fromordinal(day):%Y%j}/{_IMAGE}" for day in days]


def _recorded(root: LakePath, here: dict[tuple[str, int], dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """What table `dark_cal` records of the source files."""
    for row in _so_far(root, here):
        yield {"directory": row["directory"], "filename": _PROPERTIES, "checksum": row["checksum"], "rows": 1,
               "tstart": row["time"]}  # fmt: skip
        yield {"directory": row["directory"], "filename": _IMAGE, "checksum": row["image_checksum"], "rows": SIDE**2}


def _so_far(root: LakePath, here: dict[tuple[str, int], dict[str, Any]]) -> list[dict[str, Any]]:
    row = here.get((DARK_CAL.name, 0))
    if row is None:
        return []
    columns = [c.name for c in DARK_CAL.columns]
    rows: list[dict[str, Any]] = read_partition(root / row["path"], columns=columns).to_pylist()
    return rows


def _whole(judged: Sequence[Taken | Rejected], files: SourceFiles) -> list[Taken | Rejected]:
    """What was read; a file whose other half is bad is set aside, too, unless the lake has that half."""
    bad = {*files.report.set_aside, *(r.found.name for r in judged if isinstance(r, Rejected))}
    results: list[Taken | Rejected] = []
    for r in judged:
        f = r.found
        other = f"{Path(f.directory).name}/{_PROPERTIES if f.filename == _IMAGE else _IMAGE}"
        if isinstance(r, Taken) and other in bad and other not in files.rows:
            # Without size and date, so that it is looked at again when the other is good.
            r = Rejected(Found(f.directory, f.filename), f"{other} is set aside")
        results.append(r)
    return results


def _withdraw(files: SourceFiles, top: Path, whole: set[str], parts: set[str]) -> None:
    """Drop the calibrations whose folders are gone from the archive, unless it has none at all."""
    if not whole:
        return
    for name, row in list(files.rows.items()):
        folder = Path(row["directory"])
        if folder.parent == top and folder.name not in whole | parts:
            del files.rows[name]
            files.report.gone.append(name)


def _build(
    root: LakePath, files: SourceFiles, here: dict[tuple[str, int], dict[str, Any]], pool: Executor
) -> dict[tuple[str, Key], dict[str, Any] | None]:
    """Rebuild the stale partitions."""
    written: dict[tuple[str, Key], dict[str, Any] | None] = {}
    so_far = {row["dark_id"]: row for row in _so_far(root, here)}
    jobs = []
    for dark_id in _complete(files):
        image, properties = (files.rows[f"{dark_id}/{name}"] for name in (_IMAGE, _PROPERTIES))
        facts = derived_from([dark_id, properties["tstart"], image["checksum"]])
        known = here.get((DARK_CAL_IMAGE.name, _image_key(dark_id).day_number))
        if known is None or known["derived_from"] != facts:
            found = Found(image["directory"], _IMAGE)
            same = known is not None and f"{dark_id}/{_IMAGE}" not in files.fresh
            existing = root / known["path"] if known is not None and same else None
            jobs.append(ImageJob(root, dark_id, properties["tstart"], found, image["checksum"], facts, existing))
    for job, row in zip(jobs, pool.map(build_image, jobs), strict=True):
        if isinstance(row, Rejected):
            files.lose(row)
        else:
            written[DARK_CAL_IMAGE.name, _image_key(job.dark_id)] = row
    for table, day in here:
        dark_id = f"{date.fromordinal(EPOCH.toordinal() + day):%Y%j}"
        if table == DARK_CAL_IMAGE.name and f"{dark_id}/{_IMAGE}" in files.report.gone:
            written[table, _image_key(dark_id)] = None
    _distribute(root, files, here, written, pool)
    texts = {}
    for dark_id in _complete(files):
        name = f"{dark_id}/{_PROPERTIES}"
        row = files.rows[name]
        if name not in files.fresh and dark_id in so_far:
            texts[dark_id] = so_far[dark_id]["properties"]
            continue
        try:
            content = read_file(Found(row["directory"], _PROPERTIES).path, LARGEST_PROPERTIES)
            if checksum(content) != row["checksum"]:
                raise BadFile("it must be read again, but it is another file now")
            texts[dark_id] = text_of(content)
        except Exception as error:  # whatever one file raises, the others go in
            files.lose(rejected(Found(row["directory"], _PROPERTIES), error))
    listed = [(dark_id, files.rows[f"{dark_id}/{_PROPERTIES}"]) for dark_id in sorted(texts)]
    images = {dark_id: files.rows[f"{dark_id}/{_IMAGE}"]["checksum"] for dark_id, _ in listed}
    facts = derived_from([[dark_id, row["checksum"], images[dark_id], row["directory"]] for dark_id, row in listed])
    known = here.get((DARK_CAL.name, 0))
    if (known is None and listed) or (known is not None and known["derived_from"] != facts):
        scalars: list[dict[str, Any]] = []
        declared: list[dict[str, Any]] = []
        types: dict[str, list[pa.DataType]] = {}
        for dark_id, row in listed:
            read: dict[str, Any] = json.loads(texts[dark_id])
            scalars.append({key: value for key, value in read.items() if _type(value) is not None})
            of_lake = {"dark_id": dark_id, "time": row["tstart"], "properties": texts[dark_id]}
            of_lake |= {"date": _string(read.get("date")), "ccd_temp": temperature_of(read)}
            of_lake |= {"directory": row["directory"], "checksum": row["checksum"], "image_checksum": images[dark_id]}
            declared.append(read | of_lake)
            for key, value in scalars[-1].items():
                types.setdefault(key, []).append(_type(value))
        rows = table_of(DARK_CAL, declared, scalars, {key: widest(met) for key, met in types.items()})
        written[DARK_CAL.name, Key(EPOCH)] = pin(root, DARK_CAL, Key(EPOCH), rows, [], facts)
    return written


def _string(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _type(value: object) -> pa.DataType | None:
    """Type of a scalar property; text for an integer beyond 64 bits."""
    if type(value) is int and not -(2**63) <= value < 2**63:
        return pa.string()
    return _TYPES.get(type(value))


def _distribute(
    root: LakePath,
    files: SourceFiles,
    here: dict[tuple[str, int], dict[str, Any]],
    written: dict[tuple[str, Key], dict[str, Any] | None],
    pool: Executor,
) -> None:
    """Rebuild `dark_cal_distribution` if an image is new or has changed."""
    images = {}
    for dark_id in _complete(files):
        key = _image_key(dark_id)
        row = written.get((DARK_CAL_IMAGE.name, key)) or here.get((DARK_CAL_IMAGE.name, key.day_number))
        if row is not None:
            images[dark_id] = row
    # In full, to see of which images the levels are.
    paths = {dark_id: row["path"] for dark_id, row in sorted(images.items())}
    facts = json.dumps(paths)
    known = here.get((DARK_CAL_DISTRIBUTION.name, 0))
    if (known is None and not images) or (known is not None and known["derived_from"] == facts):
        return
    before = DARK_CAL_DISTRIBUTION.schema.empty_table()
    before_paths: dict[str, str] = {}
    if known is not None:
        before = read_partition(root / known["path"], schema=DARK_CAL_DISTRIBUTION.schema)
        before_paths = json.loads(known["derived_from"] or "{}")
    stays = [
        dark_id
        for dark_id in before.column("dark_id").unique().to_pylist()
        if dark_id in paths and before_paths.get(dark_id) == paths[dark_id]
    ]
    new = [root / row["path"] for dark_id, row in images.items() if dark_id not in stays]
    parts = [
        before.filter(pc.is_in(before.column("dark_id"), pa.array(stays, pa.string()))),
        *pool.map(distribution, new),
    ]
    rows = pa.concat_tables(parts).sort_by([("value", "ascending"), ("time", "ascending")])
    key = Key(EPOCH)
    written[DARK_CAL_DISTRIBUTION.name, key] = pin(root, DARK_CAL_DISTRIBUTION, key, rows, [], facts)


def _complete(files: SourceFiles) -> list[str]:
    """The calibrations with both files in the lake."""
    names = files.rows.keys()
    return sorted(
        dark_id
        for dark_id, _, filename in (name.partition("/") for name in names)
        if filename == _PROPERTIES and f"{dark_id}/{_IMAGE}" in names
    )


def stale_paths(root: LakePath, partition: pa.Table) -> list[str]:
    """`dark_cal_distribution`, if it is stale, for `mica-lake verify`."""
    listed = partition.select(["table_name", "day_number", "path", "derived_from"]).to_pylist()
    images = {
        f"{Key.of_day_number(row['day_number']).day:%Y%j}": row["path"]
        for row in listed
        if row["table_name"] == DARK_CAL_IMAGE.name
    }
    return [
        Key(EPOCH).path(DARK_CAL_DISTRIBUTION)
        for row in listed
        if row["table_name"] == DARK_CAL_DISTRIBUTION.name and json.loads(row["derived_from"]) != images
    ]


PARTS = (DarkCal,)

ingest = partial(follow.ingest, "dark_cal")
