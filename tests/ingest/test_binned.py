"""Statistics over time: what a bin holds, and that the outcome depends on the partitions of aca_l0 and hdr3 alone."""

import shutil
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mica_lake.archive import aca_hdr3, aca_l0
from mica_lake.catalog.reindex import rebuild
from mica_lake.errors import MissingDataError
from mica_lake.ingest import binned
from mica_lake.ingest.aca_l0 import ingest
from mica_lake.ingest.binned import statistics
from mica_lake.lake import Lake
from mica_lake.simulate.aca_l0 import readouts, write_file
from mica_lake.tables.binned import IMAGE_QUANTITIES, PERCENTILES, SLOT_COLUMNS, TABLES, WIDTHS
from mica_lake.tables.hdr3_msids import PSEUDO_MSIDS
from mica_lake.times import cxcsec, day_start, utc_day

# The last hour of a year and the first of the next, in pieces that follow each other without a gap.
NEW_YEAR = cxcsec("2016:001")
PIECES = [NEW_YEAR + seconds for seconds in (-3600, -1800, -100, 40, 1800, 3600)]
STATISTICS = ("n", "mean", "min", "max", "std", "midval")
EVER = (0.0, 1e9)


def piece(folder: Path, start: float, stop: float) -> list[Path]:
    """Files of slot 6, 8x8, and of slot 3, 8x8 first and then 4x4."""
    folder.mkdir(parents=True, exist_ok=True)
    middle = (start + stop) / 2
    made = [write_file(folder, 6, readouts(6, 8, np.arange(start, stop, 4.1), seed=round(start) % 1000))]
    for size, cadence, first, last in ((8, 4.1, start, middle), (4, 1.025, middle, stop)):
        columns = readouts(3, size, np.arange(first, last, cadence), seed=round(stop) % 1000)
        columns["QUALITY"][5] = 1
        made.append(write_file(folder, 3, columns))
    return made


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> list[list[Path]]:
    folder = tmp_path_factory.mktemp("pieces")
    return [piece(folder / str(n), *PIECES[n : n + 2]) for n in range(len(PIECES) - 1)]


@pytest.fixture(scope="module")
def filled(pieces: list[list[Path]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    lake = tmp_path_factory.mktemp("filled") / "lake"
    ingest([path for some in pieces for path in some], lake, jobs=1)
    return lake


def partitions(lake: Path) -> dict[str, bytes]:
    """All partitions of the statistics, byte for byte."""
    return {
        path.relative_to(lake).as_posix(): path.read_bytes()
        for table in TABLES
        for path in lake.glob(f"{table.name}/**/data.parquet")
    }


def expected(times: np.ndarray, values: np.ndarray, stat: str) -> dict[float, list[float]]:
    """The statistics of each bin as NumPy computes them: middle of the bin -> values."""
    width = WIDTHS[stat]
    found = {}
    for n in np.unique(np.floor(times / width)):
        inside = values[(times >= n * width) & (times < (n + 1) * width)]
        percentiles = [np.percentile(inside, p) for p in PERCENTILES] if stat == "daily" else []
        found[(n + 0.5) * width] = [
            len(inside), inside.mean(), inside.min(), inside.max(), inside.std(), inside[len(inside) // 2], *percentiles
        ]  # fmt: skip
    return found


def in_lake(lake: Path, table: str, where: str) -> dict[float, list[float]]:
    names = [*STATISTICS, *(f"p{p:02}" for p in PERCENTILES if table.endswith("daily"))]
    rows = Lake(lake).sql(f"SELECT TIME, {', '.join(names)} FROM {table} WHERE {where} ORDER BY TIME").fetchall()
    return {time: list(values) for time, *values in rows}


def assert_equal(found: dict[float, list[float]], wanted: dict[float, list[float]]) -> None:
    assert list(found) == sorted(wanted)
    for time, values in found.items():
        np.testing.assert_allclose(values, wanted[time], rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("stat", WIDTHS)
@pytest.mark.parametrize("msid", [msid for msid in PSEUDO_MSIDS if msid.slot == 6][:3], ids=lambda msid: msid.name)
def test_statistics_of_header_3_are_those_of_its_good_values(filled: Path, msid: object, stat: str) -> None:
    name = msid.name  # type: ignore[attr-defined]
    values = aca_hdr3.Msid(name, *EVER, data_root=filled)
    wanted = expected(values.times, values.vals.astype(float), stat)
    assert len(wanted) > 1
    assert_equal(in_lake(filled, f"hdr3_{stat}", f"msid = '{name}'"), wanted)


@pytest.mark.parametrize("stat", WIDTHS)
@pytest.mark.parametrize("size", [4, 8])
@pytest.mark.parametrize("name", SLOT_COLUMNS)
def test_statistics_of_a_slot_are_those_of_its_good_readouts(filled: Path, name: str, size: int, stat: str) -> None:
    data = aca_l0.get_slot_data(*EVER, 3, imgsize=size, data_root=filled)
    data = data[(data["QUALITY"] == 0).filled(False)]
    has_it = not np.ma.getmaskarray(data[name]).any()
    assert has_it == (size == 8 or name == "BGDAVG")
    wanted = expected(data["TIME"].data, data[name].data.astype(float), stat) if has_it else {}
    assert_equal(in_lake(filled, f"slot_{stat}", f"msid = '{name}' AND slot = 3 AND imgsize = {size}"), wanted)


@pytest.mark.parametrize("stat", WIDTHS)
@pytest.mark.parametrize("size", [4, 8])
def test_statistics_of_images_are_those_of_the_macros(filled: Path, size: int, stat: str) -> None:
    rows = Lake(filled).arrow(
        "SELECT TIME, image_sum(IMGRAW) AS IMGSUM, image_max(IMGRAW) AS IMGMAX, m.row AS IMGROW, m.col AS IMGCOL "
        "FROM (SELECT *, centroid_fm(IMGRAW, IMGROW0, IMGCOL0) AS m FROM slot_data(0, 1e9, 3)) "
        f"WHERE QUALITY = 0 AND IMGSIZE = {size} ORDER BY TIME"
    )
    times = rows.column("TIME").to_numpy()
    for name in IMAGE_QUANTITIES:
        values = rows.column(name).to_numpy().astype(float)
        wanted = expected(times[np.isfinite(values)], values[np.isfinite(values)], stat)
        assert_equal(in_lake(filled, f"slot_{stat}", f"msid = '{name}' AND slot = 3 AND imgsize = {size}"), wanted)


@given(
    st.lists(st.floats(0, 2000, allow_subnormal=False), max_size=60, unique=True),
    st.randoms(use_true_random=False),
    st.sampled_from(["5min", "daily"]),
)
def test_statistics_are_those_of_numpy(times: list[float], random: object, stat: str) -> None:
    time = np.sort(np.array(times, float)) + 800_000_000.0
    values = np.array([random.choice([-1.5, 0.0, 3.25, 1e6]) for _ in times])  # type: ignore[attr-defined]
    found = statistics(time, values, WIDTHS[stat], PERCENTILES if stat == "daily" else ())
    wanted = expected(time, values, stat)
    columns = [found["TIME"], *(found[name] for name in STATISTICS)]
    columns += [found[f"p{p:02}"] for p in PERCENTILES if stat == "daily"]
    assert_equal({row[0]: list(row[1:]) for row in zip(*columns, strict=True)}, wanted)


def test_the_mean_of_equal_values_is_that_value() -> None:
    values = np.full(9, 0.1)
    found = statistics(np.arange(9.0), values, 328.0)
    assert (found["mean"].tolist(), found["std"].tolist()) == ([0.1], [0.0])


# --- which partition, in what order -----------------------------------------------------------------------------------


def test_a_bin_is_in_the_year_of_its_middle(filled: Path) -> None:
    for name in partitions(filled):
        year = int(name.split("/")[1].removeprefix("year="))
        times = pq.read_table(filled / name, columns=["TIME"], partitioning=None).column("TIME").to_pylist()
        assert {utc_day(time).year for time in times} == {year}
    # One bin has readouts of both years; its middle is where most of it is.
    (time,) = [t for t in in_lake(filled, "hdr3_5min", "msid = 'ccd_temp'") if abs(t - NEW_YEAR) < 164]
    assert time - 164 < NEW_YEAR < time + 164


def test_rows_are_sorted_and_each_msid_has_row_groups_of_its_own(filled: Path) -> None:
    file = pq.ParquetFile(filled / "hdr3_5min/year=2015/data.parquet")
    groups = [
        file.read_row_group(n, columns=["msid"]).column("msid").unique().to_pylist() for n in range(file.num_row_groups)
    ]
    assert groups == sorted(groups)
    assert {len(group) for group in groups} == {1}
    assert {name for group in groups for name in group} == {msid.name for msid in PSEUDO_MSIDS if msid.slot in (3, 6)}


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (4, 3, 2, 1, 0), (2, 0, 4, 1, 3)])
def test_day_after_day_gives_the_same_bytes(
    pieces: list[list[Path]], filled: Path, tmp_path: Path, order: tuple[int, ...]
) -> None:
    for n in order:
        ingest(pieces[n], tmp_path / "lake", jobs=1)
    assert partitions(tmp_path / "lake") == partitions(filled)


def test_only_the_days_around_a_new_one_are_computed_again(
    filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = shutil.copytree(filled, tmp_path / "lake")
    computed: list[date] = []
    of_day = binned._of_day
    monkeypatch.setattr(binned, "_of_day", lambda job, day: (computed.append(day), of_day(job, day))[1])
    start = day_start(date(2016, 1, 10)) + 1000
    ingest(piece(tmp_path / "later", start, start + 300), lake, jobs=1)
    # Of slots 3 and 6, and of header 3.
    assert computed == [6582, 6583, 6584] * 3


def test_what_is_up_to_date_is_left_alone(pieces: list[list[Path]], filled: Path, tmp_path: Path) -> None:
    lake = shutil.copytree(filled, tmp_path / "lake")
    again = ingest(pieces[0], lake, jobs=1).derived["binned"]
    assert (again.partitions, again.rows) == (0, 0)
    assert binned.ingest(lake, jobs=1).partitions == 0


def test_a_lake_from_before_gets_them_at_the_next_ingest(
    pieces: list[list[Path]], filled: Path, tmp_path: Path
) -> None:
    lake = shutil.copytree(filled, tmp_path / "lake")
    for table in TABLES:
        shutil.rmtree(lake / table.name)
        shutil.rmtree(lake / "_catalog" / "pinned" / table.name)
    rebuild(lake)
    assert partitions(lake) == {}
    report = ingest(pieces[0], lake, jobs=1).derived["binned"]
    assert report.partitions == len(partitions(filled))
    assert partitions(lake) == partitions(filled)


# --- the MSIDs of the facade ------------------------------------------------------------------------------------------


def test_an_msid_has_the_attributes_of_cheta(filled: Path) -> None:
    msid = aca_hdr3.MSID("CCD_TEMP", *EVER, data_root=filled, stat="daily")
    rows = in_lake(filled, "hdr3_daily", "msid = 'ccd_temp'")
    names = ("samples", "means", "mins", "maxes", "stds", "midvals", *(f"p{p:02}s" for p in PERCENTILES))
    assert msid.times.tolist() == list(rows)
    assert np.column_stack([getattr(msid, name) for name in names]).tolist() == list(rows.values())
    assert msid.vals is msid.means
    assert (msid.stat, msid.unit) == ("daily", "°C")


def test_five_minutes_have_no_percentiles(filled: Path) -> None:
    msid = aca_hdr3.MSID("ccd_temp", *EVER, data_root=filled, stat="5min")
    assert len(msid.vals) > 20
    assert not hasattr(msid, "p50s")


def test_whole_numbers_stay_whole(filled: Path) -> None:
    msid = aca_hdr3.MSID("dac", *EVER, data_root=filled, stat="5min")
    of_slot_7 = next(m for m in PSEUDO_MSIDS if m.name == "dac")
    assert (len(msid.vals), of_slot_7.slot) == (0, 7)
    whole = next(m.name for m in PSEUDO_MSIDS if m.slot == 6 and str(m.type).startswith(("int", "uint")))
    msid = aca_hdr3.MSID(whole, *EVER, data_root=filled, stat="5min")
    assert {msid.mins.dtype, msid.maxes.dtype, msid.midvals.dtype} == {np.dtype(np.int64)}
    assert {msid.means.dtype, msid.stds.dtype} == {np.dtype(np.float64)}


def test_bins_of_a_range_have_their_middle_in_it(filled: Path) -> None:
    times = aca_hdr3.MSID("ccd_temp", *EVER, data_root=filled, stat="5min").times
    some = aca_hdr3.MSID("ccd_temp", times[3], times[7], data_root=filled, stat="5min")
    assert some.times.tolist() == times[3:8].tolist()


def test_statistics_have_nothing_bad_to_leave_out(filled: Path) -> None:
    msid = aca_hdr3.Msid("ccd_temp", *EVER, data_root=filled, stat="5min")
    copy = msid.filter_bad(copy=True)
    assert copy is not None
    assert copy.vals.tolist() == msid.vals.tolist()


def test_an_msid_of_a_slot_is_of_8x8(filled: Path) -> None:
    msid = aca_l0.MSID("tempccd", 3, *EVER, data_root=filled, stat="5min")
    rows = in_lake(filled, "slot_5min", "msid = 'TEMPCCD' AND slot = 3 AND imgsize = 8")
    assert (msid.times.tolist(), msid.means.tolist()) == (list(rows), [mean for _, mean, *_ in rows.values()])
    assert msid.mins.dtype == np.float32


@pytest.mark.parametrize("stat", ["hourly", "", "DAILY"])
def test_another_stat_is_refused(filled: Path, stat: str) -> None:
    for ask in (
        lambda: aca_hdr3.MSID("ccd_temp", *EVER, data_root=filled, stat=stat),
        lambda: aca_l0.MSID("TEMPCCD", 3, *EVER, data_root=filled, stat=stat),
    ):
        with pytest.raises(ValueError, match=f"stat '{stat}' is not one of '5min', 'daily'"):
            ask()


def test_a_column_without_statistics_is_refused(filled: Path) -> None:
    with pytest.raises(MissingDataError, match=r"there are no statistics of 'MJF'\. There are of TEMPCCD, TEMPHOUS"):
        aca_l0.MSID("MJF", 3, *EVER, data_root=filled, stat="5min")
