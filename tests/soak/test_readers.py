"""Eight processes that read through every door while the same partitions are replaced again and again."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mica_lake.ingest.aca_l0 import ingest
from mica_lake.simulate.aca_l0 import readouts, times, write_file
from mica_lake.times import cxcsec

STARTS = [cxcsec(day) + 40000 for day in ("2015:100", "2015:101", "2015:102")]
SLOTS = (3, 7)
READERS = 8
SECONDS = 400

# Asks through one door after the other; of each answer says which revisions it is of, and how many rows it has.
READER = """
import json, sys
from collections import Counter
from pathlib import Path
import numpy as np, polars as pl
from mica_lake import Lake
from mica_lake.archive.aca_hdr3 import MSID
from mica_lake.archive.aca_l0 import get_slot_data

root, done = Path(sys.argv[1]), Path(sys.argv[2])
lake = Lake(root)
start, stop = "2015:099", "2015:104"

def sql():
    union = " UNION ALL ".join(f"SELECT BGDAVG, MJF FROM slot_data($start, $stop, {slot})" for slot in (3, 7))
    query = f"SELECT BGDAVG, MJF, count(*) FROM ({union}) GROUP BY ALL"
    return [(row[0], row[2]) for row in lake.sql(query, {"start": start, "stop": stop}).fetchall() if row[0] == row[1]]

def facade():
    data = get_slot_data(start, stop, 3, data_root=root, columns=["BGDAVG", "IMGRAW"])
    assert (data["IMGRAW"][:, 0] == data["BGDAVG"]).all()
    return list(Counter(data["BGDAVG"].tolist()).items())

def polars():
    frame = lake.scan("aca_l0").filter(pl.col("BGDAVG") == pl.col("IMGRAW").list.max())
    return frame.group_by("BGDAVG").len().collect().rows()

def hdr3():
    query = "SELECT dac, count(*) FROM hdr3_data($a, $b) WHERE dac IS NOT NULL GROUP BY ALL"
    return lake.sql(query, {"a": start, "b": stop}).fetchall()

def across_products():
    joined = "hdr3_data($a, $b) h JOIN slot_data($a, $b, 7) s USING (TIME)"
    query = f"SELECT dac, BGDAVG, count(*) FROM {joined} WHERE dac IS NOT NULL GROUP BY ALL"
    return [(row[0], row[2]) for row in lake.sql(query, {"a": start, "b": stop}).fetchall() if row[0] == row[1]]

def msid():
    values = MSID("dac", start, stop, data_root=root).vals
    return list(Counter(np.ma.compressed(values).tolist()).items())

rows = json.loads(sys.argv[3])
count, seen = 0, {}
while True:
    last = done.exists()
    for door in (sql, facade, polars, hdr3, across_products, msid):
        answer = door()
        assert len(answer) == 1, f"{door.__name__}: of {len(answer)} revisions, {answer}"
        (revision, n), = answer
        assert n == rows[door.__name__], f"{door.__name__}: {n} rows, revision {revision}"
        assert revision >= seen.setdefault(door.__name__, [revision])[-1], f"{door.__name__}: {revision} after {seen}"
        if revision != seen[door.__name__][-1]:
            seen[door.__name__].append(revision)
        count += 1
    if count == len(rows):
        print("reading", flush=True)
    if last:
        break
print(json.dumps({"answers": count, "seen": seen}))
"""


def write_revision(folder: Path, revision: int) -> list[Path]:
    """Files of three days and two slots, each row of which says which revision it is of, also in its header 3."""
    folder.mkdir(parents=True)
    paths = []
    for start in STARTS:
        for slot in SLOTS:
            columns = readouts(slot, 8, times(start, start + SECONDS, 8))
            columns["QUALITY"][:] = 0
            columns["BGDAVG"][:] = columns["MJF"][:] = columns["IMGRAW"][:] = revision
            columns["HD3TLM76"][:], columns["HD3TLM77"][:] = divmod(revision, 256)
            paths.append(write_file(folder, slot, columns, revision=revision))
    return paths


def test_every_answer_is_of_one_revision_while_partitions_are_replaced(
    soak: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    monkeypatch.setattr(os, "fsync", lambda file: None)
    replacements = 200 if soak else 20
    revisions = [write_revision(tmp_path / "files" / str(n), n) for n in range(1, replacements + 2)]
    lake, done = tmp_path / "lake", tmp_path / "done"
    ingest(revisions[0], lake, jobs=1)
    of_a_slot = sum(len(times(start, start + SECONDS, 8)) for start in STARTS)
    # Of header 3 the last readout of each file is null, as none follows it.
    rows = {"sql": 2 * of_a_slot, "facade": of_a_slot, "polars": 2 * of_a_slot, "hdr3": of_a_slot - len(STARTS)}
    rows |= {"across_products": of_a_slot - len(STARTS), "msid": of_a_slot - len(STARTS)}
    # In the short form the writer comes first, so that it is short.
    command = [*(() if soak else ("nice",)), sys.executable, "-c", READER, str(lake), str(done), json.dumps(rows)]
    readers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(READERS)]
    try:
        for reader in readers:
            assert reader.stdout is not None
            assert reader.stdout.readline() == "reading\n"
        for paths in revisions[1:]:
            report = ingest(paths, lake, jobs=1)
            assert report.partitions == len(STARTS) * len(SLOTS)
        done.touch()
        answers = [json.loads(reader.communicate(timeout=120)[0]) for reader in readers]
    finally:
        for reader in readers:
            reader.kill()
            reader.communicate()
    assert [reader.returncode for reader in readers] == [0] * READERS
    assert all(seen[-1] == replacements + 1 for answer in answers for seen in answer["seen"].values())
    states = {revision for answer in answers for seen in answer["seen"].values() for revision in seen}
    assert states >= {1, replacements + 1}
    count = sum(answer["answers"] for answer in answers)
    record_property(
        "readers during writing",
        f"{count} answers of {READERS} processes, of {len(states)} states of the lake, during {replacements} commits "
        f"of {len(STARTS) * len(SLOTS)} partitions and those derived",
    )
