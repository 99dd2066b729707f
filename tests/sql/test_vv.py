"""The views of V&V: limits, values outside them, temperatures."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from mica_lake.archive import aca_l0
from mica_lake.lake import Lake
from mica_lake.vv import get_rms_data
from mica_lake.vv.limits import BAD, WARN, limits


def test_the_limits_are_those_of_python(demo_lake: str) -> None:
    rows = set(Lake(demo_lake).sql("FROM vv_limit").fetchall())
    of_python = {
        (fid, name, level, limit)
        for level, both in (("bad", BAD), ("warn", WARN))
        for fid, some in both.items()
        for name, limit in some.items()
        if name != "frac_dr_big"  # which vv_rms has not
    }
    assert rows == of_python


def test_values_outside_are_those_that_python_finds(demo_lake: str) -> None:
    data = get_rms_data(demo_lake)
    spoilt = np.repeat(data, 40)
    rng = np.random.default_rng(0)
    for name in ("dy_rms", "dz_rms", "dy_med", "dz_med", "rad_off", "frac_dy_big", "frac_dz_big", "frac_mag_big"):
        values = rng.choice([-0.5, -0.4, 0.0, 0.04, 0.05, 0.3, 0.25, 0.4, 1.5, 2.0, np.nan], len(spoilt))
        spoilt[name] = values
    spoilt["obsid"] = np.arange(len(spoilt))
    expected = set()
    for row in spoilt:
        report = {name: row[name].item() for name in spoilt.dtype.names or ()}
        report |= {"type": row["type"].decode(), "frac_dr_big": 0.0}
        expected |= {(row["obsid"].item(), o.name, o.level, repr(o.value), o.limit) for o in limits(report)}
    lake = Lake(demo_lake)
    connection = lake.private_connection()
    names = spoilt.dtype.names or ()
    columns = {n: np.char.decode(spoilt[n]) if spoilt[n].dtype.kind == "S" else spoilt[n] for n in names}
    connection.register("spoilt", pa.table(columns))
    view = connection.sql("SELECT sql FROM duckdb_views() WHERE view_name = 'vv_outside'").fetchall()[0][0]
    connection.execute("CREATE OR REPLACE TEMP VIEW vv_rms AS SELECT * FROM spoilt")
    connection.execute(view.replace("CREATE ", "CREATE OR REPLACE ", 1))
    found = connection.sql('SELECT obsid, name, level, value, "limit" FROM vv_outside').fetchall()
    assert {(o, n, level, repr(v), limit) for o, n, level, v, limit in found} == expected
    assert len(found) == len(expected) > 100


def test_slots_have_what_reports_tell(demo_lake: str) -> None:
    query = "SELECT slot, type, dy_rms, dz_rms, n_pts FROM {} ORDER BY slot"
    lake = Lake(demo_lake)
    assert lake.sql(query.format("vv_slot")).fetchall() == lake.sql(query.format("vv_rms")).fetchall()


def test_the_mean_temperature_is_that_of_all_good_readouts(demo_lake: str) -> None:
    start, stop = "2024:001:00:30", "2024:001:01:30"
    kelvin = []
    for slot in range(8):
        data = aca_l0.get_slot_data(start, stop, slot, columns=["QUALITY", "TEMPCCD"], data_root=demo_lake)
        kelvin.append(data["TEMPCCD"][data["QUALITY"] == 0].compressed().astype(float))
    query = "FROM mean_ccd_temp($start, $stop)"
    ((celsius,),) = Lake(demo_lake).sql(query, {"start": start, "stop": stop}).fetchall()
    assert celsius == pytest.approx(np.concatenate(kelvin).mean() - 273.15, abs=1e-9)
    assert Lake(demo_lake).sql("FROM mean_ccd_temp('2001:001', '2001:002')").fetchall() == [(None,)]


def test_a_lake_without_vv_answers_with_no_rows(demo_files: Path, tmp_path: Path) -> None:
    from mica_lake.ingest.aca_l0 import ingest

    ingest([min(demo_files.rglob("acaf*_0_img0.fits*"))], tmp_path / "lake", jobs=1)
    for view in ("vv_rms", "vv_report", "vv_slot", "vv_outside", "asp_l1_proc", "asp_l1_revisions(1)"):
        assert Lake(tmp_path / "lake").sql(f"FROM {view}").fetchall() == []
    assert len(get_rms_data(tmp_path / "lake")) == 0
