"""The simulator of ACA L0 files: what it writes reads back as given and looks like flight."""

import gzip
import multiprocessing
import sqlite3
import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.time import Time

from mica_lake.simulate import aca_l0

START = 686111000.0
FLIGHT = Path(__file__).parents[4] / "shared/data/l0_real"
HDR3 = [f"HD3TLM{i}{w}" for i in (6, 7) for w in range(2, 8)]

COMMON = ["TIME", "QUALITY", "MJF", "MNF", "END_INTEG_TIME", "INTEG", "GLBSTAT", "COMMCNT", "COMMPROG"]
COMMON += ["IMGFID1", "IMGNUM1", "IMGFUNC1", "IMGSTAT", "IMGROW0", "IMGCOL0", "IMGSCALE", "BGDAVG"]
SIX = ["IMGFID2", "IMGNUM2", "IMGFUNC2", "BGDRMS", "TEMPCCD", "TEMPHOUS", "TEMPPRIM", "TEMPSEC", "BGDSTAT"]
EIGHT = ["IMGFID3", "IMGNUM3", "IMGFUNC3", "IMGFID4", "IMGNUM4", "IMGFUNC4"]
COLUMNS = {
    4: [*COMMON, "IMGRAW"],
    6: [*COMMON, *SIX, "IMGRAW"],
    8: [*COMMON, *SIX, *EIGHT, "IMGRAW", *HDR3],
}


def columns_of(slot=3, imgsize=6, seconds=120, **options):
    """Simulate some readouts."""
    return aca_l0.readouts(slot, imgsize, aca_l0.times(START, START + seconds, imgsize), **options)


def header_of(path):
    """Read the header of the table."""
    return fits.getheader(path, 1)


def parts(path):
    """Split a name: file time, revision, slot."""
    name = path.name
    return int(name[4:13]), int(name[14:17]), int(name[18])


def current_of(files, slot):
    """Choose one slot's files that no later revision supersedes."""
    mine = [f for f in files if parts(f)[2] == slot]
    newer = {parts(f)[0] for f in mine if parts(f)[1] == 2}
    return [f for f in mine if parts(f)[1] == 2 or not newer & {parts(f)[0], parts(f)[0] - 1}]


@pytest.fixture(scope="module")
def hard(tmp_path_factory):
    """Simulate eighteen hours of two slots in many short files, with the hard cases."""
    root = tmp_path_factory.mktemp("hard")
    return aca_l0.write_archive(root, START, START + 64800, slots=[1, 5], file_seconds=2000, newer=True, seed=7)


@pytest.fixture(scope="module")
def ska(tmp_path_factory):
    """Simulate a $SKA root that crosses a UTC midnight, and give it and its files."""
    root = tmp_path_factory.mktemp("ska")
    start = Time("2019-09-28T22:00:00").cxcsec
    return root, aca_l0.write_archive(root, start, start + 3 * 3600, slots=[0, 3], file_seconds=900, ska=True, seed=2)


class TestTimes:
    """Readout times."""

    @pytest.mark.parametrize(("imgsize", "cadence"), [(4, 1.025), (6, 2.05), (8, 4.1)])
    def test_cadence(self, imgsize, cadence):
        """Readouts follow one another as in flight, to the microsecond."""
        times = aca_l0.times(START, START + 1000, imgsize)
        assert times.dtype == np.float64
        assert len(times) == pytest.approx(1000 / cadence, abs=1)
        np.testing.assert_allclose(np.diff(times), cadence, atol=1e-6)

    def test_one_clock(self):
        """Every 8x8 readout is at the time of a 6x6 one, and that of a 4x4 one."""
        four, six, eight = (set(aca_l0.times(START, START + 100, s)) for s in (4, 6, 8))
        assert eight < six < four

    @pytest.mark.parametrize("phase", [1, 2, 3])
    def test_phase(self, phase):
        """A slot of another phase is read out that many times 1.025 s later."""
        early, late = (aca_l0.times(START, START + 1000, 8, phase=p) for p in (0, phase))
        np.testing.assert_allclose((late - early[0]) % 4.1, 1.025 * phase, atol=1e-4)
        np.testing.assert_allclose(np.diff(late), 4.1, atol=1e-6)

    def test_half_open_and_exact(self):
        """A start that is a readout's time is inside, a stop is not: intervals adjoin."""
        times = aca_l0.times(START, START + 100000, 6)
        for i in range(1, len(times), 997):
            assert aca_l0.times(START, times[i], 6)[-1] == times[i - 1]
            assert aca_l0.times(times[i], START + 100000, 6)[0] == times[i]

    def test_empty(self):
        """No readout in the interval, no times."""
        assert aca_l0.times(START, START, 8).shape == (0,)

    def test_errors(self):
        """A size that does not exist and a stop before start are named."""
        with pytest.raises(ValueError, match="imgsize 5 is not 4, 6 or 8"):
            aca_l0.times(START, START + 1, 5)
        with pytest.raises(ValueError, match=r"stop 1\.0 must be .* start 2\.0"):
            aca_l0.times(2.0, 1.0, 8)
        with pytest.raises(ValueError, match="stop nan"):
            aca_l0.times(2.0, float("nan"), 8)


class TestReadouts:
    """Columns of a file."""

    @pytest.mark.parametrize("imgsize", [4, 6, 8])
    @pytest.mark.parametrize("newer", [False, True])
    def test_columns(self, imgsize, newer):
        """Columns are those of the image size, in flight order."""
        names = list(COLUMNS[imgsize])
        if newer:
            names[6:6] = ["PIXTLM", "BGDTYP"]
        columns = columns_of(3, imgsize, newer=newer)
        assert list(columns) == names
        assert {len(c) for c in columns.values()} == {len(columns["TIME"])}
        assert all(c.dtype.isnative for c in columns.values())
        assert columns["IMGRAW"].shape[1:] == (imgsize, imgsize)

    def test_dtypes(self):
        """Types are the logical ones of the reference."""
        kinds = {name: c.dtype.str[1:] for name, c in columns_of(3, 8, newer=True).items()}
        assert {n for n, k in kinds.items() if k == "f8"} == {"TIME", "END_INTEG_TIME"}
        assert {n for n, k in kinds.items() if k == "i4"} == {"QUALITY", "MJF", "MNF"}
        assert {n for n, k in kinds.items() if k == "i2"} == {"IMGROW0", "IMGCOL0"}
        assert {n for n, k in kinds.items() if k == "u2"} == {"IMGSCALE", "BGDAVG", "BGDRMS"}
        assert {n for n, k in kinds.items() if k == "S4"} == {"PIXTLM", "BGDTYP"}
        assert {n for n, k in kinds.items() if k == "f4"} == {
            "INTEG", "IMGRAW", "TEMPCCD", "TEMPHOUS", "TEMPPRIM", "TEMPSEC",
        }  # fmt: skip
        assert sum(k == "u1" for k in kinds.values()) == 4 + 12 + 12 + 1

    def test_same_seed_same_values(self):
        """The seed decides, and nothing else."""
        one, two, other = (columns_of(seed=s) for s in (1, 1, 2))
        for name in one:
            np.testing.assert_array_equal(one[name], two[name])
        assert not np.array_equal(one["IMGRAW"], other["IMGRAW"])
        assert one["IMGROW0"][0] != other["IMGROW0"][0]

    def test_frames_follow_time(self):
        """TIME is linear in the frame counters, and those go on across files and wrap at 131072."""
        # Every hundredth readout of two months, about a wrap.
        long = aca_l0.readouts(0, 8, aca_l0.times(START, START + 5e6, 8)[::100])
        vcdu = long["MJF"].astype(np.int64) * 128 + long["MNF"]
        assert long["MJF"].min() < 13
        assert long["MJF"].max() > 131071 - 13
        assert set(np.diff(vcdu).tolist()) == {1600, 1600 - 131072 * 128}
        assert set(vcdu % 16) == {12}
        # As in flight on 2019-09-29.
        known = aca_l0.readouts(0, 8, np.array([686111012.493093]))
        assert (known["MJF"][0], known["MNF"][0]) == (8580, 124)
        np.testing.assert_allclose(long["END_INTEG_TIME"] - long["TIME"], 0.848, atol=1e-6)

    def test_pixels_are_scaled_integers(self):
        """A pixel is an integer of ten bits times IMGSCALE / 32, less 50, and the image uses the range."""
        for slot, imgsize in ((0, 8), (7, 6), (4, 4)):
            columns = columns_of(slot, imgsize, 40000)
            unit = columns["IMGSCALE"][:, None, None] / 32
            raw = (columns["IMGRAW"] + 50) / unit
            if imgsize == 6:
                corners = columns["IMGRAW"][:, [0, 0, 5, 5], [0, 5, 0, 5]]
                assert not corners.any()
                raw[:, [0, 0, 5, 5], [0, 5, 0, 5]] = 0
            np.testing.assert_array_equal(raw, np.rint(raw))
            assert raw.min() >= 0
            assert 900 < raw.max() <= 1023
            assert 32 <= columns["IMGSCALE"].min() < columns["IMGSCALE"].max() <= 1023

    def test_stars_move_and_fids_do_not(self):
        """While tracking, a star dithers over several pixels and its image stays centred; a fid light stays."""
        star, fid = (columns_of(slot, 8, 30000) for slot in (5, 1))
        tracking = star["IMGFUNC1"] == 1
        assert 0.5 < tracking.mean() < 1
        assert set(star["IMGFUNC1"]) == {1, 3}
        # Two to three dwells, each with its own position.
        assert len(set(fid["IMGROW0"])) <= 3 < len(set(star["IMGROW0"]))
        assert set(fid["IMGFID1"]) == {1}
        assert set(star["IMGFID1"]) == {0}
        image = star["IMGRAW"][tracking].mean(axis=0)
        assert image.argmax() in (27, 28, 35, 36)
        assert image[3:5, 3:5].mean() > 3 * image[0].mean()

    def test_temperatures(self):
        """All slots tell the same temperatures at the same time, in steps of 0.4 C, the CCD between -10 and -5 C."""
        six, eight = columns_of(3, 6, 200000), columns_of(0, 8, 200000)
        same = np.isin(six["TIME"], eight["TIME"])
        for name in ("TEMPCCD", "TEMPHOUS", "TEMPPRIM", "TEMPSEC"):
            np.testing.assert_array_equal(six[name][same], eight[name])
        celsius = six["TEMPCCD"].astype(float) - 273.15
        assert -10.2 < celsius.min() < celsius.max() < -4.8
        assert len(np.unique(celsius)) > 2
        np.testing.assert_allclose(celsius / 0.4, np.rint(celsius / 0.4), atol=1e-3)

    def test_header3(self):
        """The CCD temperature of slot 6 is that of TEMPCCD; bytes 62 to 77 are words that vary slowly."""
        columns = columns_of(6, 8, 100000)
        word = (columns["HD3TLM76"].astype(np.uint16) * 256 + columns["HD3TLM77"]).view(np.int16)
        np.testing.assert_allclose(word / 100, columns["TEMPCCD"] - 273.15, atol=0.21)
        thermistor = columns_of(0, 8, 100000)
        counts = thermistor["HD3TLM74"].astype(int) * 256 + thermistor["HD3TLM75"]
        fit = np.polyfit(counts, thermistor["TEMPCCD"] - 273.15, 1)
        assert fit[0] == pytest.approx(-5 / 600, rel=0.1)

    def test_bad_quality(self):
        """Some readouts in a thousand are bad."""
        assert 0.002 < columns_of(3, 6, 50000)["QUALITY"].mean() < 0.007

    def test_no_times(self):
        """No times give columns without rows."""
        columns = columns_of(3, 8, 0)
        assert list(columns) == COLUMNS[8]
        assert columns["IMGRAW"].shape == (0, 8, 8)

    def test_errors(self):
        """Slots and sizes that do not exist and times that are none are named."""
        with pytest.raises(ValueError, match="slot 9 is not one of 0 to 7"):
            columns_of(9)
        with pytest.raises(ValueError, match="imgsize 5 is not 4, 6 or 8"):
            aca_l0.readouts(3, 5, np.array([START]))
        with pytest.raises(ValueError, match=r"times of shape \(1, 1\) must"):
            aca_l0.readouts(3, 6, np.array([[START]]))
        with pytest.raises(ValueError, match="finite"):
            aca_l0.readouts(3, 6, np.array([np.nan]))


class TestWriteFile:
    """One file."""

    @pytest.mark.parametrize(("slot", "imgsize"), [(3, 4), (4, 6), (0, 8)])
    def test_reads_back(self, tmp_path, slot, imgsize):
        """A FITS reader gives exactly the columns, verifies the checksums and finds nothing against the standard."""
        columns = columns_of(slot, imgsize, newer=True)
        path = aca_l0.write_file(tmp_path, slot, columns)
        assert len(gzip.decompress(path.read_bytes())) % 2880 == 0
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with fits.open(path, checksum=True) as hdus:
                hdus.verify("exception")
                assert [len(hdus), hdus[1].name, hdus[1].columns.names] == [2, "ACA_IMG0", list(columns)]
                for name, column in columns.items():
                    read = hdus[1].data[name]
                    np.testing.assert_array_equal(read, column.astype(read.dtype))
                    assert read.dtype.kind == "U" or read.dtype.newbyteorder("=") == column.dtype

    def test_checksum_notices(self, tmp_path):
        """The checksum is of the data: a changed byte is noticed."""
        path = aca_l0.write_file(tmp_path, 3, columns_of(), compress=False)
        content = bytearray(path.read_bytes())
        content[-4000] ^= 1
        path.write_bytes(content)
        with pytest.warns(UserWarning, match="verification failed"), fits.open(path, checksum=True) as hdus:
            hdus[1].data  # noqa: B018

    def test_name_and_interval(self, tmp_path):
        """The name has TSTART, revision and slot; the interval goes from TIME + 1.873 s to where the next begins."""
        columns = columns_of(5, 6)
        path = aca_l0.write_file(tmp_path, 5, columns, revision=12)
        header = header_of(path)
        assert header["TSTART"] == pytest.approx(columns["TIME"][0] + 1.873, abs=1e-6)
        assert header["TSTOP"] == pytest.approx(columns["TIME"][-1] + 1.873 + 2.05, abs=1e-6)
        assert path.name == f"acaf{int(header['TSTART']):09d}N012_5_img0.fits.gz"
        assert (header["STARTMJF"], header["STARTMNF"]) == (columns["MJF"][0], columns["MNF"][0])
        assert header["STOPMJF"] * 128 + header["STOPMNF"] == columns["MJF"][-1] * 128 + columns["MNF"][-1] + 7
        assert (header["REVISION"], header["CONTENT"], header["TIMEDEL"]) == (12, "ACAIMG", 2.05)
        assert header["DATE-OBS"] == Time(int(header["TSTART"]), format="cxcsec").tt.isot[:19]

    def test_unsigned_columns(self, tmp_path):
        """Unsigned columns are stored as signed ones less 32768."""
        columns = columns_of(3, 6)
        columns["IMGSCALE"][:3] = [0, 32768, 65535]
        path = aca_l0.write_file(tmp_path, 3, columns)
        header = header_of(path)
        zeros = {header[f"TTYPE{k[5:]}"]: header[k] for k in header if k.startswith("TZERO")}
        assert zeros == {"IMGSCALE": 32768, "BGDAVG": 32768, "BGDRMS": 32768}
        with fits.open(path, do_not_scale_image_data=True) as hdus:
            assert hdus[1].columns["IMGSCALE"].format == "1I"
            assert hdus[1].data["IMGSCALE"][:3].tolist() == [0, 32768, 65535]

    def test_marked_as_simulated(self, tmp_path):
        """Both headers tell that the file is simulated, by what, and nothing of the time of writing."""
        path = aca_l0.write_file(tmp_path, 3, columns_of())
        for header in (fits.getheader(path, 0), header_of(path)):
            assert (header["ORIGIN"], header["CREATOR"]) == ("SIMULATED", "mica_lake.simulate")
            assert "SIMULATED" in str(header["COMMENT"])
            assert header["DATE"].startswith("2019-09-29")

    def test_same_bytes(self, tmp_path):
        """The same columns give the same bytes, other ones do not; no other file is left."""
        one = aca_l0.write_file(tmp_path, 3, columns_of(seed=1)).read_bytes()
        assert aca_l0.write_file(tmp_path, 3, columns_of(seed=1)).read_bytes() == one
        assert aca_l0.write_file(tmp_path, 3, columns_of(seed=2)).read_bytes() != one
        assert len(list(tmp_path.iterdir())) == 1

    def test_uncompressed(self, tmp_path):
        """An uncompressed file is the content of the compressed one."""
        plain, packed = (aca_l0.write_file(tmp_path, 3, columns_of(), compress=c) for c in (False, True))
        assert plain.name + ".gz" == packed.name
        assert plain.read_bytes() == gzip.decompress(packed.read_bytes())

    def test_header_overrides(self, tmp_path):
        """Keywords may be set, added and left out; TSTART also changes the name and the frames."""
        usual = header_of(aca_l0.write_file(tmp_path, 3, columns_of()))
        overrides = {"TSTART": usual["TSTART"] + 1.025, "CONTENT": "IT'S", "EXTRA": np.int64(3), "TLMVER": None}
        path = aca_l0.write_file(tmp_path, 3, columns_of(), header=overrides)
        header = header_of(path)
        assert parts(path)[0] == int(header["TSTART"]) == int(usual["TSTART"]) + 1
        assert header["STARTMNF"] == usual["STARTMNF"] + 4
        assert (header["CONTENT"], header["EXTRA"]) == ("IT'S", 3)
        assert "TLMVER" in usual
        assert "TLMVER" not in header

    def test_broken_columns(self, tmp_path):
        """Broken columns are written as they are."""
        columns = columns_of(3, 6)
        del columns["MJF"]
        columns["QUALITY"] = columns["QUALITY"].astype(np.float64)
        columns["TIME"][0] = np.nan
        columns["IMGRAW"] = columns["IMGRAW"][:, :5].copy()
        with fits.open(aca_l0.write_file(tmp_path, 3, columns)) as hdus:
            data = hdus[1].data
            assert data.names == list(columns)
            assert data["QUALITY"].dtype.kind == "f"
            assert np.isnan(data["TIME"][0])
            np.testing.assert_array_equal(data["IMGRAW"], columns["IMGRAW"])

    @pytest.mark.parametrize("time", [None, np.full(59, np.nan), np.full(59, b"noon")])
    def test_no_time_at_all(self, tmp_path, time):
        """Without any time the header has to tell the interval."""
        columns = columns_of(3, 6)
        del columns["TIME"]
        if time is not None:
            columns["TIME"] = np.resize(time, len(columns["MJF"]))
        with pytest.raises(ValueError, match="give TSTART and TSTOP"):
            aca_l0.write_file(tmp_path, 3, columns)
        path = aca_l0.write_file(tmp_path, 3, columns, header={"TSTART": START, "TSTOP": START + 120})
        assert parts(path)[0] == START

    def test_errors(self, tmp_path):
        """What cannot be written is named, and nothing is left behind."""
        columns = columns_of()
        with pytest.raises(ValueError, match="slot 8 is not one of 0 to 7"):
            aca_l0.write_file(tmp_path, 8, columns)
        with pytest.raises(ValueError, match=r"lengths .*'MJF': 2"):
            aca_l0.write_file(tmp_path, 3, columns | {"MJF": np.arange(2)})
        with pytest.raises(ValueError, match="column MJF of dtype complex128"):
            aca_l0.write_file(tmp_path, 3, columns | {"MJF": columns["MJF"] * 1j})
        with pytest.raises(ValueError, match="TIMEDEL nan cannot"):
            aca_l0.write_file(tmp_path, 3, columns, header={"TIMEDEL": np.nan})
        with pytest.raises(ValueError, match="too long"):
            aca_l0.write_file(tmp_path, 3, columns, header={"CONTENT": "x" * 70})
        assert list(tmp_path.iterdir()) == []


class TestArchive:
    """Many files."""

    def test_plain(self, tmp_path):
        """Without hard cases, files of revision 1 follow one another without a gap, 1568 8x8 readouts each."""
        done = []
        files = aca_l0.write_archive(
            tmp_path / "new", START, START + 15000, slots=[0, 3], hard_cases=False, progress=done.append
        )
        assert done == [1, 2, 3, 4, 5, 6]
        assert files == sorted((tmp_path / "new").iterdir())
        assert [parts(f)[1:] for f in files] == [(1, 0), (1, 3)] * 3
        for slot, imgsize in ((0, 8), (3, 6)):
            mine = [f for f in files if parts(f)[2] == slot]
            times = np.concatenate([fits.getdata(f)["TIME"] for f in mine])
            np.testing.assert_array_equal(
                times, aca_l0.times(aca_l0.times(START, START + 9, 8)[0], START + 15000, imgsize)
            )
            headers = [header_of(f) for f in mine]
            assert [h["NAXIS2"] for h in headers][:2] == [1568 * 8 // (2 * imgsize - 8)] * 2
            assert [h["TSTART"] for h in headers[1:]] == [h["TSTOP"] for h in headers[:-1]]

    def test_out_of_phase(self, tmp_path):
        """Each slot keeps a phase of its own across files, and loses no readout at their borders."""
        files = aca_l0.write_archive(
            tmp_path, START, START + 2000, seed=12, file_seconds=400, hard_cases=False, in_phase=False
        )
        phases = []
        for slot in range(8):
            times = np.concatenate([fits.getdata(f)["TIME"] for f in files if parts(f)[2] == slot])
            np.testing.assert_allclose(np.diff(times), 2.05 if slot in (3, 4, 5) else 4.1, atol=1e-6)
            assert times[-1] - times[0] > 1980
            phases.append(round((times[0] - aca_l0.times(START, START + 9, 8)[0]) / 1.025))
        # Of 6x6, every 2.05 s, two phases look the same.
        assert phases == [2, 1, 0, 1, 0, 1, 0, 1]

    def test_no_file_without_readouts(self, tmp_path):
        """An interval may hold no readout of a slot that is behind."""
        first = aca_l0.times(START, START + 9, 8)[0]
        files = aca_l0.write_archive(tmp_path, first, first + 0.5, seed=12, hard_cases=False, in_phase=False)
        assert [parts(f)[2] for f in files] == [2, 4, 6]

    def test_same_bytes_whatever_the_jobs(self, tmp_path):
        """One process or two, the files are the same; another seed gives others."""
        settings = {"slots": [6], "file_seconds": 400}
        one = aca_l0.write_archive(tmp_path / "1", START, START + 2500, **settings)
        two = aca_l0.write_archive(tmp_path / "2", START, START + 2500, jobs=2, **settings)
        other = aca_l0.write_archive(tmp_path / "3", START, START + 2500, seed=1, **settings)
        assert len(one) > 4
        assert [(f.name, f.read_bytes()) for f in one] == [(f.name, f.read_bytes()) for f in two]
        assert not {f.read_bytes() for f in one} & {f.read_bytes() for f in other}
        assert multiprocessing.active_children() == []

    def test_dwells(self, hard):
        """Stars are acquired in 8x8 and tracked in one size, there are gaps, and all slots are cut together."""
        current = {slot: [header_of(f) for f in current_of(hard, slot)] for slot in (1, 5)}
        starts = {slot: [h["TSTART"] for h in headers] for slot, headers in current.items()}
        assert starts[1] == starts[5]
        sizes = {
            slot: [{4.1: 8, 2.05: 6, 1.025: 4}[h["TIMEDEL"]] for h in headers] for slot, headers in current.items()
        }
        assert set(sizes[1]) == {8}
        assert {8} < set(sizes[5])
        gaps = np.array([b["TSTART"] - a["TSTOP"] for a, b in zip(current[5], current[5][1:], strict=False)])
        assert set(gaps[gaps < 200]) == {0}
        assert ((gaps > 290) & (gaps < 1510)).sum() >= 1
        assert max(h["TSTOP"] - h["TSTART"] for h in current[5]) <= 2000

    def test_hard_cases(self, hard):
        """One file is not compressed; revision 2 meets revisions 1 of the same interval, or of another."""
        assert [f.suffix for f in hard].count(".fits") == 1
        same = other = 0
        for new in (f for f in hard if parts(f)[1] == 2):
            time, _, slot = parts(new)
            old = next(f for f in hard if parts(f) in ((time, 1, slot), (time + 1, 1, slot)))
            h_old, h_new = header_of(old), header_of(new)
            assert not np.array_equal(fits.getdata(old)["IMGRAW"][:5], fits.getdata(new)["IMGRAW"][:5])
            if parts(old)[0] == time:
                same += 1
                assert all(h_old[k] == h_new[k] for k in ("TSTART", "TSTOP", "STARTMNF", "STOPMNF"))
            else:
                other += 1
                assert h_new["TSTART"] + 1 == pytest.approx(h_old["TSTART"])
                assert h_old["TSTOP"] < h_new["TSTOP"]
        assert same >= 1
        assert other >= 1

    def test_incomplete_header3(self, hard):
        """The last 8x8 readout before a gap or another size has an empty header 3; any other has not."""
        seen = set()
        for slot in (1, 5):
            files = current_of(hard, slot)
            for file, following in pairwise(files):
                header, after = header_of(file), header_of(following)
                if header["TIMEDEL"] == 4.1:
                    ends = after["TSTART"] != header["TSTOP"] or after["TIMEDEL"] != 4.1
                    data = fits.getdata(file)
                    filled = np.any([data[name] for name in HDR3], axis=0)
                    assert filled[:-1].all()
                    assert filled[-1] == (not ends)
                    seen.add((slot, ends))
        assert {(1, False), (1, True), (5, True)} <= seen

    def test_ska(self, ska):
        """The $SKA layout has a directory for each UTC day of the names' times."""
        root, files = ska
        top = root / "data/mica/archive/aca0"
        assert {f.parent.relative_to(top).as_posix() for f in files} == {"2019/271", "2019/272"}
        for f in files:
            yday = Time(parts(f)[0], format="cxcsec").utc.yday
            assert f.parent == top / yday[:4] / yday[5:8]

    def test_archfiles(self, ska):
        """The table lists the files that are not superseded, as their headers have it."""
        root, files = ska
        names = {f.name: f for f in files}
        with sqlite3.connect(root / "data/mica/archive/aca0/archfiles.db3") as db:
            db.row_factory = sqlite3.Row
            rows = db.execute("SELECT * FROM archfiles").fetchall()
        db.close()
        listed = {row["filename"] for row in rows}
        assert len(listed) == len(rows)
        superseded = set(names) - listed
        assert len(superseded) == sum(parts(f)[1] == 2 for f in files) >= 2
        assert {parts(names[n])[1] for n in superseded} == {1}
        for row in rows:
            f = names[row["filename"]]
            header = header_of(f)
            keys = [
                "tstart",
                "tstop",
                "startmjf",
                "startmnf",
                "stopmjf",
                "stopmnf",
                "checksum",
                "tlmver",
                "ascdsver",
                "revision",
                "date",
            ]
            assert [row[k] for k in keys] == [header[k] for k in keys]
            assert (row["filetime"], row["revision"], row["slot"]) == parts(f)
            assert f"{row['year']}/{row['doy']:03d}" == "/".join(f.parts[-3:-1])
            assert row["rows"] == header["NAXIS2"]
            assert row["imgsize"] == {4.1: 8, 2.05: 6, 1.025: 4}[header["TIMEDEL"]]

    def test_errors(self, tmp_path):
        """What cannot be is named before anything is written."""
        for match, change in {
            "slot 9 is not": {"slots": [9]},
            r"slots \[\] must": {"slots": []},
            r"slots \[1, 1\] must": {"slots": [1, 1]},
            r"file_seconds 4\.0 must": {"file_seconds": 4.0},
            "jobs 0 must": {"jobs": 0},
            "must be a time at or after": {"stop": START - 1},
        }.items():
            with pytest.raises(ValueError, match=match):
                aca_l0.write_archive(**{"root": tmp_path / "new", "start": START, "stop": START + 60} | change)
        assert not (tmp_path / "new").exists()


@pytest.mark.skipif(not FLIGHT.is_dir(), reason="no flight files here")
@pytest.mark.parametrize(("slot", "imgsize"), [(0, 8), (3, 6), (7, 6)])
def test_like_flight(tmp_path, slot, imgsize):
    """Names, formats, keywords, interval, frames and sizes are those of a flight file of the same interval."""
    flight = next(FLIGHT.glob(f"*_{slot}_img0.fits.gz"))
    time = fits.getdata(flight)["TIME"].astype(float)
    times = aca_l0.times(time[0] - 0.01, time[-1] + 0.01, imgsize)
    np.testing.assert_allclose(times, time, atol=1e-3)
    path = aca_l0.write_file(tmp_path, slot, aca_l0.readouts(slot, imgsize, times))
    assert path.name == flight.name
    for hdu in (0, 1):
        ours, theirs = fits.getheader(path, hdu), fits.getheader(flight, hdu)
        # The count of flight's history lines is of no use without them.
        assert set(theirs) - set(ours) <= {"HISTNUM"}
        assert len(ours) == pytest.approx(len(theirs), rel=0.2)
    layout = ["TTYPE", "TFORM", "TUNIT", "TDIM", "TZERO", "TSCAL", "TLMIN", "TLMAX", "TFIELDS", "NAXIS"]
    pick = {k: v for k, v in theirs.items() if k.rstrip("0123456789") in layout}
    pick |= {
        k: theirs[k]
        for k in ["EXTNAME", "CONTENT", "STARTMJF", "STARTMNF", "STOPMJF", "STOPMNF", "TIMEDEL", "DATE-OBS", "DATE-END"]
    }
    assert {k: ours[k] for k in pick} == pick
    assert ours["TSTOP"] == pytest.approx(theirs["TSTOP"], abs=1e-3)
    assert path.stat().st_size == pytest.approx(flight.stat().st_size, rel=0.35)
    raw, flight_raw = (len(gzip.decompress(p.read_bytes())) for p in (path, flight))
    assert raw == pytest.approx(flight_raw, abs=2880)
