"""
Each pseudo-MSID: bytes packed by hand into FITS files come out of the lake as the numbers of this table.

And what comes out of the lake of whatever files is what this table makes of their bytes.
"""

import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from astropy.io import fits
from scipy.interpolate import CubicSpline

from mica_lake.archive.aca_hdr3 import MSID, Msid, MSIDset
from mica_lake.ingest.aca_l0 import ingest
from mica_lake.lake import Lake
from mica_lake.simulate.aca_l0 import readouts, times, write_archive, write_file
from mica_lake.tables.hdr3_msids import BY_ID, BY_NAME, PSEUDO_MSIDS
from mica_lake.times import cxcsec

START = 7.0e8
N = 48
# The header of a slot, in the order of its words; one header follows that of the slot before.
WORDS = [62, 63, 64, 65, 66, 67, 72, 73, 74, 75, 76, 77]
LSB32 = 1 / 65536


class Declared(NamedTuple):
    """A pseudo-MSID: slot and word of its first byte, bytes, sign, value of one count (None: thermistor), unit."""

    name: str
    id: str
    first: tuple[int, int]
    size: int
    signed: bool
    scale: float | None
    unit: str
    zero: int = 0  # what its bytes are, as an unsigned number, where its value is 0


H16, H32 = 2**15, 2**31

MSIDS = [
    Declared("ac_status_word", "062", (0, 62), 2, False, 1, ""),
    Declared("misc_status_bits", "064", (0, 64), 2, False, 1, ""),
    Declared("ccd_molyb_therm_1", "066", (0, 66), 2, True, None, "°C"),
    Declared("ccd_molyb_therm_2", "072", (0, 72), 2, True, None, "°C"),
    Declared("ccd_det_therm", "074", (0, 74), 2, True, None, "°C"),
    Declared("ad_5v_ps", "076", (0, 76), 2, True, 0.00030518, "V"),
    Declared("ad_15v_ps", "162", (1, 62), 2, True, 0.00061035, "V"),
    Declared("ad_m15v_ps", "164", (1, 64), 2, True, 0.00061035, "V"),
    Declared("ad_27v_ps", "166", (1, 66), 2, True, 0.00104597, "V"),
    Declared("ad_analog_gnd", "172", (1, 72), 2, True, 0.00030518, "V"),
    Declared("ad_converter_therm", "174", (1, 74), 2, True, None, "°C"),
    Declared("ad_smhs_therm", "176", (1, 76), 2, True, None, "°C"),
    Declared("ad_smohs_therm", "262", (2, 62), 2, True, None, "°C"),
    Declared("ad_pmhs_therm", "264", (2, 64), 2, True, None, "°C"),
    Declared("ad_pmohs_therm", "266", (2, 66), 2, True, None, "°C"),
    Declared("ad_achhs_therm", "272", (2, 72), 2, True, None, "°C"),
    Declared("ad_achohs_therm", "274", (2, 74), 2, True, None, "°C"),
    Declared("ad_lc_therm", "276", (2, 76), 2, True, None, "°C"),
    Declared("proc_stack_telem_ctr", "362", (3, 62), 2, False, 1, ""),
    Declared("sci_hdr_pulse_period", "364", (3, 64), 4, False, 2, "us"),
    Declared("zero_off16_quad_a", "372", (3, 72), 2, True, 1, "counts", H16),
    Declared("zero_off16_quad_b", "374", (3, 74), 2, True, 1, "counts", H16),
    Declared("zero_off16_quad_c", "376", (3, 76), 2, True, 1, "counts", H16),
    Declared("zero_off16_quad_d", "462", (4, 62), 2, True, 1, "counts", H16),
    Declared("zero_off32_quad_a", "464", (4, 64), 4, True, LSB32, "counts", H32),
    Declared("zero_off32_quad_b", "472", (4, 72), 4, True, LSB32, "counts", H32),
    Declared("zero_off32_quad_c", "476", (4, 76), 4, True, LSB32, "counts", H32),  # 4:76 4:77 5:62 5:63
    Declared("zero_off32_quad_d", "564", (5, 64), 4, True, LSB32, "counts", H32),
    Declared("ccd_flush_dur", "572", (5, 72), 2, False, 2, "us"),
    Declared("ccd_row_shift_period", "574", (5, 74), 2, False, 1, "us"),
    Declared("avg_bkg", "576", (5, 76), 2, True, 5, "e-"),
    Declared("dsn_hdr1", "662", (6, 62), 6, False, 1, ""),
    Declared("dsn_hdr2", "672", (6, 72), 4, False, 1, ""),
    Declared("ccd_temp", "676", (6, 76), 2, True, 0.01, "°C"),
    Declared("ccd_setpoint", "764", (7, 64), 2, True, 0.01, "°C"),
    Declared("aca_temp", "766", (7, 72), 2, True, 1 / 256, "°C"),
    Declared("last_ram_fail_addr", "774", (7, 74), 2, False, 1, ""),
    Declared("dac", "776", (7, 76), 2, True, 1, "counts"),
]
LINEAR = [msid for msid in MSIDS if msid.scale is not None]
THERMISTORS = [msid for msid in MSIDS if msid.scale is None]

TABLE = {
    0x3D70: -40, 0x3C9E: -35, 0x3B98: -30, 0x3A55: -25, 0x38CD: -20, 0x36FD: -15, 0x34E1: -10, 0x3279: -5, 0x2FCB: 0,
    0x2CDF: 5, 0x29C5: 10, 0x2688: 15, 0x2340: 20, 0x2000: 25, 0x1CD3: 30, 0x19CC: 35, 0x16F4: 40, 0x1454: 45,
    0x11EF: 50, 0x0FC5: 55, 0x0DD8: 60, 0x0C22: 65, 0x0A9F: 70, 0x094D: 75, 0x0825: 80,
}  # fmt: skip
# scipy.interpolate.CubicSpline(bc_type="not-a-knot") of the table.
BETWEEN = {
    0x0826: 79.98199998471287, 0x08B0: 77.57217236114579, 0x09FF: 72.28207854360369, 0x0BAD: 66.44412172582605,
    0x1000: 54.439682634282846, 0x1800: 38.116986532592385, 0x2100: 23.453159346430656, 0x3000: -0.3697516782236222,
    0x3800: -17.69217185461291, 0x3AAA: -26.221305463352216, 0x3C00: -31.854182492437438, 0x3D6F: -39.973545130947684,
}  # fmt: skip
OUTSIDE = [0x0824, 0x3D71, 0, -1, -32768, 32767, -0x2000]
THERMISTOR_COUNTS = [*TABLE, *BETWEEN, *OUTSIDE]


def counts_of(msid: Declared) -> list[int]:
    """Its counts in each readout: the extremes, and numbers that no other pseudo-MSID has at the same time."""
    own = MSIDS.index(msid) + 1
    if msid.scale is None:
        return [THERMISTOR_COUNTS[(n + own) % len(THERMISTOR_COUNTS)] for n in range(N)]
    bits = 8 * msid.size
    least, most = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if msid.signed else (0, 2**bits - 1)
    extremes = [least, least + 1, 0, 1, 2 ** (bits - 1) - 1, most - 1, most, least + 2 ** (bits - 1)]
    counted_bytes = int.from_bytes(bytes(range(own, own + msid.size)), "big") - msid.zero
    return [*extremes, counted_bytes, *(least + 251 * n * own % 2**bits for n in range(N - len(extremes) - 1))]


def byte_address(slot: int, word: int) -> int:
    return 12 * slot + WORDS.index(word)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of one file per slot whose header bytes are those of `counts_of`, and 0xA5 where nothing is."""
    folder = tmp_path_factory.mktemp("files")
    telemetry = np.full((N + 1, 12 * 8), 0xA5, np.uint8)
    for msid in MSIDS:
        at = byte_address(*msid.first)
        for n, count in enumerate(counts_of(msid)):
            packed = (count + msid.zero).to_bytes(msid.size, "big", signed=msid.signed and not msid.zero)
            telemetry[n, at : at + msid.size] = list(packed)
    time = times(START, START + 4.1 * (N + 2), 8)[: N + 1]
    for slot in range(8):
        columns = readouts(slot, 8, time)
        for word in WORDS:
            columns[f"HD3TLM{word}"] = telemetry[:, byte_address(slot, word)].copy()
        write_file(folder, slot, columns)
    root = folder.parent / f"{folder.name}_lake"
    assert ingest([folder], root, jobs=1).set_aside == {}
    return root


def values(lake: Path, name: str) -> np.ndarray:
    """The values of the good readouts, which are all but the last."""
    found = MSID(name, START, START + 4.1 * (N + 2), data_root=lake)
    assert np.ma.getmaskarray(found.vals).tolist() == [False] * N + [True]
    return np.ma.getdata(found.vals)[:N]


def test_no_byte_belongs_to_two_and_there_are_38() -> None:
    used = Counter(byte_address(*msid.first) + n for msid in MSIDS for n in range(msid.size))
    assert set(used.values()) == {1}
    assert len(MSIDS) == 38 == len(PSEUDO_MSIDS)


@pytest.mark.parametrize("msid", MSIDS, ids=lambda msid: msid.name)
def test_name_id_and_unit(msid: Declared) -> None:
    declared = BY_NAME[msid.name]
    assert (declared.name, declared.id, declared.unit) == (msid.name, msid.id, msid.unit)
    assert BY_ID[msid.id] is declared
    assert declared.description


@pytest.mark.parametrize("msid", LINEAR, ids=lambda msid: msid.name)
def test_bytes_are_a_big_endian_number_times_its_scale(lake: Path, msid: Declared) -> None:
    assert msid.scale is not None
    whole = isinstance(msid.scale, int)
    found = values(lake, msid.name)
    assert found.dtype == (np.int64 if whole else np.float64)
    assert found.tolist() == [count * msid.scale for count in counts_of(msid)]


@pytest.mark.parametrize(
    ("name", "n", "expected"),
    [
        ("misc_status_bits", 6, 65535),
        ("ad_m15v_ps", 0, -19.9999488),
        ("sci_hdr_pulse_period", 6, 8589934590),
        ("zero_off16_quad_d", 0, -32768),
        ("zero_off32_quad_c", 0, -32768.0),
        ("zero_off32_quad_c", 6, 32768 - 2**-16),
        ("zero_off16_quad_a", 8, 0x1516 - 0x8000),  # the bytes 15 16
        ("zero_off32_quad_c", 8, 0x1B1C - 0x8000 + 0x1D1E / 65536),  # the bytes 1B 1C in slot 4, 1D 1E in slot 5
        ("ccd_flush_dur", 6, 131070),
        ("avg_bkg", 0, -163840),
        ("dsn_hdr1", 6, 281474976710655),
        ("dsn_hdr1", 8, 0x202122232425),
        ("ccd_temp", 0, -327.68),
        ("ccd_temp", 6, 327.67),
        ("aca_temp", 0, -128.0),
        ("aca_temp", 3, 0.00390625),
    ],
)
def test_some_values_in_full(lake: Path, name: str, n: int, expected: float) -> None:
    assert values(lake, name)[n] == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("msid", THERMISTORS, ids=lambda msid: msid.name)
def test_a_thermistor_is_the_spline_of_its_table_and_nan_outside(lake: Path, msid: Declared) -> None:
    expected = [(TABLE | BETWEEN).get(count, np.nan) for count in counts_of(msid)]
    assert np.isnan(expected).sum() >= len(OUTSIDE)
    found = values(lake, msid.name)  # of which none is masked
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


def test_outside_its_table_a_thermistor_is_nan_in_sql_too_and_not_null(lake: Path) -> None:
    counts = counts_of(next(msid for msid in MSIDS if msid.name == "ccd_det_therm"))
    query = "SELECT count(*) FROM hdr3_data(0, 1e9) WHERE isnan(ccd_det_therm)"
    assert Lake(lake).sql(query).fetchall() == [(sum(count in OUTSIDE for count in counts),)]


# --- of whatever files ------------------------------------------------------------------------------------------------


class Slot(NamedTuple):
    """The 8x8 readouts of a slot: their times, which are good, and the twelve bytes of each."""

    times: np.ndarray
    good: np.ndarray
    header: list[bytes]


def slots_of(files: Sequence[Path]) -> list[Slot]:
    """The 8x8 readouts of each slot, of the newest files only, straight from the files."""
    found: dict[int, list[Any]] = defaultdict(list)
    for path in files:
        with fits.open(path) as hdus:
            header, data = hdus[1].header, hdus[1].data
            span = header["TSTART"], header["TSTOP"]
            is_8x8 = data["IMGRAW"].shape[1:] == (8, 8)
            words = np.column_stack([data[f"HD3TLM{word}"] for word in WORDS]) if is_8x8 else None
            found[int(path.name.split("_")[1])].append((*span, header["REVISION"], np.array(data["TIME"]), words))
    slots = []
    for slot in range(8):
        rows: dict[float, bytes] = {}
        for start, stop, revision, time, words in found[slot]:
            newer = any(r > revision and a < stop and b > start for a, b, r, *_ in found[slot])
            if words is not None and not newer:
                rows |= {float(t): row.tobytes() for t, row in zip(time, words, strict=True)}
        ordered = np.array(sorted(rows))
        good = np.array([abs(b - a - 4.1) <= 0.001 for a, b in zip(ordered, [*ordered[1:], np.inf], strict=True)], bool)
        slots.append(Slot(ordered, good, [rows[t] for t in ordered.tolist()]))
    return slots


def decoded(msid: Declared, slots: Sequence[Slot]) -> list[float | None]:
    """Its value in each readout of its slot; its last bytes may be the first ones of the next slot."""
    first, word = msid.first
    own, at = slots[first], WORDS.index(word)
    spline = CubicSpline(sorted(TABLE), [TABLE[count] for count in sorted(TABLE)])
    found: list[float | None] = []
    for time, good, header in zip(own.times, own.good, own.header, strict=True):
        packed = header[at : at + msid.size]
        if good and len(packed) < msid.size:
            others = np.flatnonzero(slots[first + 1].good)
            apart = np.abs(slots[first + 1].times[others] - time)
            good = len(apart) > 0 and apart.min() <= 2.1
            if good:
                packed += slots[first + 1].header[others[apart.argmin()]][: msid.size - len(packed)]
        if not good:
            found.append(None)
        elif msid.scale is None:
            count = int.from_bytes(packed, "big", signed=True)
            found.append(float(spline(count)) if min(TABLE) <= count <= max(TABLE) else float("nan"))
        else:
            number = int.from_bytes(packed, "big", signed=msid.signed and not msid.zero)
            found.append((number - msid.zero) * msid.scale)
    return found


def assert_all_are_as_decoded(files: Sequence[Path], lake: Path) -> list[Slot]:
    """Each by itself, all in one set, and all in SQL."""
    assert ingest(files, lake, jobs=1).set_aside == {}
    slots = slots_of(files)
    together = MSIDset([msid.name for msid in MSIDS], 0, 1e9, data_root=lake)
    axis = np.unique(np.concatenate([slot.times for slot in slots]))
    assert together.times.tolist() == axis.tolist()
    rows = Lake(lake).arrow("FROM hdr3_data(0, 1e9)")
    assert rows.column("TIME").to_pylist() == axis.tolist()
    flags = sum(np.isin(axis, slot.times).astype(int) << n for n, slot in enumerate(slots))
    assert rows.column("SLOTS").to_pylist() == flags.tolist()  # type: ignore[union-attr]
    for msid in MSIDS:
        expected = decoded(msid, slots)
        alone = MSID(msid.name, 0, 1e9, data_root=lake)
        assert alone.times.tolist() == slots[msid.first[0]].times.tolist()
        missing = [value is None for value in expected]
        assert np.ma.getmaskarray(alone.vals).tolist() == missing
        assert 0 < sum(missing) < len(missing)
        good = [value for value in expected if value is not None]
        np.testing.assert_allclose(
            np.ma.getdata(alone.vals)[~np.array(missing)], good, rtol=0, atol=1e-9 if msid.scale is None else 0
        )
        times = alone.times[~np.array(missing)]
        of_set = together[msid.name].vals
        assert axis[~np.ma.getmaskarray(of_set)].tolist() == times.tolist()
        np.testing.assert_array_equal(of_set.compressed(), alone.vals.compressed())
        column = rows.column(msid.name)
        assert axis[column.is_valid().to_numpy()].tolist() == times.tolist()
        np.testing.assert_array_equal(column.drop_null().to_numpy(), alone.vals.compressed())
    return slots


@pytest.mark.parametrize(("seed", "phase"), [(12, 1.025), (35, -1.025), (41, 2.05)])
@pytest.mark.often(1)
def test_all_are_as_decoded_from_files_whose_slots_are_out_of_phase(tmp_path: Path, seed: int, phase: float) -> None:
    """Across a midnight, with gaps, changes of size and newer revisions."""
    midnight = cxcsec("2015:182")
    files = write_archive(
        tmp_path / "files", midnight - 9000, midnight + 600, seed=seed, file_seconds=1500, in_phase=False
    )
    slots = assert_all_are_as_decoded(files, tmp_path / "lake")
    assert {path.name[14:17] for path in files} == {"001", "002"}
    assert any(abs(t - slots[4].times[5] - phase) < 0.01 for t in slots[5].times)
    # The halves of a value in two slots are joined wherever there are both.
    found = MSID("zero_off32_quad_c", 0, 1e9, data_root=tmp_path / "lake").vals
    assert found.count() > 200
    assert found.count() >= slots[4].good.sum() - 5


@pytest.mark.parametrize("seed", [2015, 707, 31])
@pytest.mark.soak
def test_all_are_as_decoded_from_churn(shared: Path, tmp_path: Path, seed: int) -> None:
    """Image sizes, phases, gaps, cuts and revisions at random."""
    command = [sys.executable, str(shared / "tools" / "make_churn.py"), str(tmp_path / "files"), str(seed)]
    subprocess.run([*command, "2015:181:21:00:00", "--days", "0.25"], check=True, stdout=subprocess.DEVNULL)
    assert_all_are_as_decoded(sorted((tmp_path / "files").iterdir()), tmp_path / "lake")


def test_both_offsets_of_a_simulated_quadrant_agree_within_a_count(tmp_path: Path) -> None:
    """As in flight, where the 16-bit number is the 32-bit one, rounded."""
    for slot in (3, 4, 5):
        write_file(tmp_path, slot, readouts(slot, 8, times(START, START + 6000, 8, phase=slot - 3)))
    ingest([tmp_path], tmp_path / "lake", jobs=1)
    for quadrant in "abcd":
        rounded, fine = (
            Msid(f"zero_off{bits}_quad_{quadrant}", 0, 1e9, data_root=tmp_path / "lake") for bits in (16, 32)
        )
        assert len(fine.vals) > 1400
        assert np.abs(np.interp(fine.times, rounded.times, rounded.vals) - fine.vals).max() < 1
        assert 240 < fine.vals.min() < fine.vals.max() < 290
