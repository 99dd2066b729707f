"""Statistics as the facade answers them: as the reference did, and as the HDF5 tables say."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from mica_lake.errors import LakeError
from mica_lake.ingest import acq_stats as ingest_acq_stats
from mica_lake.ingest import guide_stats as ingest_guide_stats
from mica_lake.simulate import stats
from mica_lake.simulate.observations import observations
from mica_lake.stats import acq_stats, guide_stats
from mica_lake.tables.stat_columns import row_dtype
from mica_lake.times import cxcsec

FACADE: dict[str, ModuleType] = {"acq": acq_stats, "guide": guide_stats}


def lake_of(ska: Path, root: str | Path) -> str | Path:
    for one in (ingest_acq_stats, ingest_guide_stats):
        assert one.ingest(ska, root, jobs=1).set_aside == {}
    return root


# --- as the reference answered ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def golden_lake(golden_ska: Path, place: Callable[[str], str]) -> str | Path:
    """A lake of the archive that the reference was asked about."""
    return lake_of(golden_ska, place("stats"))


@pytest.mark.parametrize("filtered", [True, False])
@pytest.mark.parametrize("kind", FACADE)
def test_golden_tables(kind: str, filtered: bool, golden_lake: str, shared: Path) -> None:
    found = FACADE[kind].get_stats(filtered, data_root=golden_lake)
    with np.load(shared / "golden" / "archive.npz") as answers:
        prefix = f"{kind}|{filtered}/"
        keys = [key for key in answers.files if key.startswith(prefix)]
        assert [key.removeprefix(prefix) for key in keys] == list(found.dtype.names)
        for key in keys:
            column, expected = found[key.removeprefix(prefix)], answers[key]
            # The reference's booleans, saved as bytes, are 0 and 1.
            assert column.dtype == (expected.dtype if column.dtype != bool else column.dtype), key
            np.testing.assert_array_equal(column, expected, err_msg=key)


def test_golden_stars(golden_lake: str, shared: Path) -> None:
    answers = json.loads((shared / "golden" / "archive.json").read_text())
    asked = {key: answer for key, answer in answers.items() if key.split("|")[0] in ("acq.star", "guide.star")}
    assert len(asked) == 2
    for key, obsids in asked.items():
        name, agasc_id = key.split("|")
        found = FACADE[name.split(".")[0]].get_star_stats(int(agasc_id), data_root=golden_lake)
        assert found["obsid"].tolist() == obsids
        assert set(found["agasc_id"].tolist()) == {int(agasc_id)}


# --- as the files say -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ska(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Statistics of two years, in which some stars come again and rows are in no order."""
    root = tmp_path_factory.mktemp("ska")
    rng = np.random.default_rng(1)
    for path in stats.write_archive(root, observations(cxcsec("2016:300"), cxcsec("2017:060"))):
        with h5py.File(path, "r+") as file:
            rows = rng.permutation(file["data"][()])
            rows["agasc_id"] = rng.integers(1000, 1100, len(rows))
            rows["known_bad"] = rng.random(len(rows)) < 0.1
            file["data"][()] = rows
    return root


@pytest.fixture(scope="module")
def lake(ska: Path) -> Path:
    return lake_of(ska, ska.parent / f"{ska.name}_lake")


def table(ska: Path, kind: str) -> NDArray[Any]:
    with h5py.File(ska / "data" / f"{kind}_stats" / f"{kind}_stats.h5") as file:
        return file["data"][()]  # type: ignore[no-any-return]


@pytest.mark.parametrize("kind", FACADE)
def test_all_rows_and_those_not_known_bad(kind: str, ska: Path, lake: Path) -> None:
    rows = table(ska, kind)
    assert rows["known_bad"].any()
    found = FACADE[kind].get_stats(filter=False, data_root=lake)
    assert found.dtype == rows.dtype == row_dtype(f"{kind}_stats")
    assert found.tobytes() == rows.tobytes()
    assert FACADE[kind].get_stats(data_root=lake).tobytes() == rows[~rows["known_bad"]].tobytes()


@pytest.mark.parametrize("agasc_id", [1000, np.int32(1042), np.int64(1099), 7, 2**70])
@pytest.mark.parametrize("kind", FACADE)
def test_rows_of_a_star(kind: str, agasc_id: Any, ska: Path, lake: Path) -> None:
    rows = table(ska, kind)
    rows = rows[rows["agasc_id"] == agasc_id] if agasc_id < 2**63 else rows[:0]
    assert len(rows) > 3 or agasc_id in (7, 2**70)
    found = FACADE[kind].get_star_stats(agasc_id, filter=False, data_root=lake)
    assert (found.dtype, found.tobytes()) == (rows.dtype, rows.tobytes())
    good = FACADE[kind].get_star_stats(agasc_id, data_root=lake)
    assert good.tobytes() == rows[~rows["known_bad"]].tobytes()


@pytest.mark.parametrize("kind", FACADE)
def test_each_call_gives_an_array_of_its_own(kind: str, lake: Path) -> None:
    found = FACADE[kind].get_stats(data_root=lake)
    before = found.tobytes()
    found["obsid"] = -1
    assert FACADE[kind].get_stats(data_root=lake).tobytes() == before


@pytest.mark.parametrize("kind", FACADE)
def test_after_many_stars_the_table_is_kept_until_the_lake_changes(kind: str, ska: Path, tmp_path: Path) -> None:
    shutil.copytree(ska, tmp_path / "ska")
    root = lake_of(tmp_path / "ska", tmp_path / "lake")
    rows, get = table(ska, kind), FACADE[kind].get_star_stats

    def check() -> None:
        for star in range(1000, 1100):
            own = rows[rows["agasc_id"] == star]
            for found, expected in ((get(star, False, root), own), (get(star, True, root), own[~own["known_bad"]])):
                assert (found.dtype, found.tobytes()) == (rows.dtype, expected.tobytes())
                found["obsid"] = -1  # it is the caller's

    check()
    for pinned in (tmp_path / "lake" / "_catalog" / "pinned" / f"{kind}_stats").rglob("*.parquet"):
        pinned.rename(pinned.with_suffix(".away"))
    check()
    for pinned in (tmp_path / "lake" / "_catalog" / "pinned" / f"{kind}_stats").rglob("*.away"):
        pinned.rename(pinned.with_suffix(".parquet"))
    rows["agasc_id"] = rows["agasc_id"][::-1].copy()
    with h5py.File(tmp_path / "ska" / "data" / f"{kind}_stats" / f"{kind}_stats.h5", "r+") as file:
        file["data"][()] = rows
    lake_of(tmp_path / "ska", root)
    check()


@pytest.mark.parametrize("agasc_id", [None, "", "star", "1042.5", 1042.5, [1042], float("nan")])
def test_what_is_no_star_is_refused(agasc_id: Any, lake: Path) -> None:
    with pytest.raises(ValueError, match=r"agasc_id .* is not an integer"):
        acq_stats.get_star_stats(agasc_id, data_root=lake)


@pytest.mark.parametrize("kind", FACADE)
@pytest.mark.parametrize(
    "star", [1042.0, np.float64(1042), np.float32(1042), "1042", " 1042 ", np.str_("1042.0")], ids=repr
)
def test_a_star_may_be_a_whole_float_or_text_and_be_named_id(kind: str, star: Any, lake: Path) -> None:
    expected = FACADE[kind].get_star_stats(1042, data_root=lake)
    assert len(expected) > 3
    assert FACADE[kind].get_star_stats(star, data_root=lake).tobytes() == expected.tobytes()
    assert FACADE[kind].get_star_stats(id=star, data_root=lake).tobytes() == expected.tobytes()
    with pytest.raises(TypeError, match="give one star"):
        FACADE[kind].get_star_stats(star, id=star, data_root=lake)


def test_the_lake_is_that_of_the_environment(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LakeError, match="which lake"):
        acq_stats.get_stats()
    monkeypatch.setenv("MICA_LAKE", str(lake))
    assert len(acq_stats.get_stats(filter=False)) == len(acq_stats.get_stats(False, lake))


@pytest.mark.parametrize("kind", FACADE)
def test_a_lake_without_statistics_has_none(kind: str, tmp_path: Path) -> None:
    stats.write_archive(tmp_path / "ska", [])
    root = lake_of(tmp_path / "ska", tmp_path / "lake")
    for found in (FACADE[kind].get_stats(data_root=root), FACADE[kind].get_star_stats(1, data_root=root)):
        assert (found.shape, found.dtype) == ((0,), row_dtype(f"{kind}_stats"))


def test_a_damaged_footer_is_an_error_of_the_lake(ska: Path, tmp_path: Path) -> None:
    root = lake_of(ska, tmp_path / "lake")
    for path in (root / "_catalog" / "pinned" / "acq_stats").rglob("*.parquet"):
        content = path.read_bytes().replace(b"n_trak_interv", b"m_trak_interv")
        path.unlink()
        path.write_bytes(content)
    with pytest.raises(LakeError, match=r"a file of table acq_stats is damaged .*'mica-lake verify --lake .*names it"):
        acq_stats.get_stats(data_root=root)
