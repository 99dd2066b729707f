"""The simulator of aspect L1 products: what is written fits together and fits the simulated telemetry."""

import multiprocessing
import sqlite3
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits

from mica_lake.simulate import aca_l0, asp_l1, sky
from mica_lake.simulate.observations import Observation, observations

R2A = 206264.81
KINDS = ["acal", "acen", "aqual", "asol", "fidpr", "gspr"]
OLD = ["time", "ra", "dec", "roll", "dy", "dz", "dtheta", "q_att"]
NEW = ["ady", "adz", "adtheta", "ra_raw", "dec_raw", "roll_raw", "q_att_raw"]


def first(test, start=6.8e8, seconds=3e6):
    """Find an observation."""
    return next(o for o in observations(start, start + seconds) if o.detector != "NONE" and test(o))


def read(paths, kind):
    """Read the header and the table of the first file of a kind, checksums and all."""
    with fits.open(next(p for p in paths if p.name.endswith(f"_{kind}1.fits.gz")), checksum=True) as hdus:
        hdus.verify("exception")
        return hdus[1].header, np.array(hdus[1].data)


def body(q, vector):
    """Turn a vector from ECI to the body's axes, by the inverse of quaternions."""
    axis, w = -q[:, :3], q[:, 3:]
    return vector + 2 * np.cross(axis, np.cross(axis, vector) + w * vector)


def angles(d):
    """Give the angles of vectors (arcsec)."""
    return R2A * np.arctan2(d[:, 1], d[:, 0]), R2A * np.arctan2(d[:, 2], d[:, 0])


def solution(paths):
    """Give times and drifts and attitude of the aspect solution, of either kind."""
    _, asol = read(paths, "asol")
    new = "q_att_raw" in asol.dtype.names
    names = ["ady", "adz", "adtheta", "q_att_raw"] if new else ["dy", "dz", "dtheta", "q_att"]
    return asol["time"], [asol[name] for name in names]


def star_residuals(paths):
    """Give the residuals of each guide star in y and z (arcsec), and its row of gspr."""
    time, (*_, q_att) = solution(paths)
    _, acen = read(paths, "acen")
    misalign = read(paths, "acal")[1]["aca_misalign"][0]
    for star in read(paths, "gspr")[1]:
        rows = acen[(acen["slot"] == star["slot"]) & (acen["alg"] == 8)]
        q = np.array([np.interp(rows["time"], time, q_att[:, i]) for i in range(4)]).T
        yag, zag = angles(body(q, star["pos_eci"]) @ misalign.T)
        yield star, rows, 3600 * rows["ang_y"] - yag, 3600 * rows["ang_z"] - zag


def fid_residuals(paths):
    """Give the residuals of each fid light in y and z (arcsec)."""
    time, (*drifts, _) = solution(paths)
    _, acen = read(paths, "acen")
    calibration = read(paths, "acal")[1][0]
    header, lights = read(paths, "fidpr")
    for light in lights:
        rows = acen[(acen["slot"] == light["slot"]) & (acen["alg"] == 8)]
        dy, dz, theta = (np.interp(rows["time"], time, drift) for drift in drifts)
        x, y, z = (light["p_lsi"][i] + header[f"LSI0STT{i + 1}"] + header[f"STT0STF{i + 1}"] for i in range(3))
        s, c = np.sin(np.radians(theta)), np.cos(np.radians(theta))
        seen = -np.stack([0 * s + x - header["RRC0FCX"], c * y + s * z + dy, -s * y + c * z + dz], axis=1)
        yag, zag = angles(seen @ (calibration["aca_misalign"] @ calibration["fts_misalign"]).T)
        yield rows, 3600 * rows["ang_y_sm"] - yag, 3600 * rows["ang_z_sm"] - zag


@pytest.fixture(scope="module", params=["old", "new"])
def products(request, tmp_path_factory):
    """Write the products of an observation of one aspect interval, in the old and in the new kind of solution."""
    root = tmp_path_factory.mktemp("ska")
    for observation in observations(6.8e8, 6.83e8):
        new = observation.last >= 3
        if observation.detector != "NONE" and len(observation.revisions) == 1 and new == (request.param == "new"):
            paths = asp_l1.write_products(root, observation, observation.last)
            if len(paths) == 6:
                return observation, paths, request.param
    raise AssertionError("no such observation")


class TestProducts:
    """The files of one revision."""

    def test_names_and_columns(self, products):
        """Six kinds of file in the revision's directory, with the columns of flight ones and shared headers."""
        observation, paths, kind = products
        folder = f"{observation.obsid:05d}_v{observation.last:02d}"
        assert {"/".join(p.parts[-4:-1]) for p in paths} == {f"asp1/{folder[:2]}/{folder}"}
        headers, tables = zip(*(read(paths, name) for name in KINDS), strict=True)
        start = headers[0]["TSTART"]
        assert sorted(p.name for p in paths) == [
            f"pcadf{int(start):09d}N{observation.last:03d}_{name}1.fits.gz" for name in KINDS
        ]
        shared = ["OBS_ID", "OBI_NUM", "REVISION", "TSTART", "TSTOP", "ASCDSVER", "CALDBVER", "DATE", "ORIGIN"]
        assert len({tuple(header[key] for key in shared) for header in headers}) == 1
        assert headers[0]["OBS_ID"] == str(observation.obsid)
        assert [header["CONTENT"] for header in headers] == [
            *("ACACAL", "ACACENT", "ASPQUAL", "ASPSOL", "FIDPROPS", "GSPROPS")
        ]
        names = dict(zip(KINDS, (list(table.dtype.names) for table in tables), strict=True))
        assert names["asol"] == OLD + NEW * (kind == "new")
        assert names["acen"][:5] == ["time", "slot", "alg", "status", "cent_i"]
        assert names["acen"][5:] == ["cent_j", "ang_y", "ang_z", "ang_y_sm", "ang_z_sm", "counts"]
        assert names["gspr"] == [
            *("slot", "id_status", "agasc_id", "type", "cel_loc_flag", "pos_eci", "mag_aca"),
        ]
        assert names["fidpr"] == ["slot", "id_status", "id_string", "id_num", "p_lsi"]
        assert names["aqual"] == ["time", "asp_sol_status"]
        assert tables[0]["aca_misalign"].shape == tables[0]["fts_misalign"].shape == (1, 3, 3)

    def test_interval(self, products):
        """The aspect interval lies inside the observation, and all times lie inside it."""
        observation, paths, _ = products
        for kind in ("asol", "aqual", "acen"):
            header, table = read(paths, kind)
            assert observation.tstart < header["TSTART"] <= table["time"].min()
            assert table["time"].max() < header["TSTOP"] < observation.tstop
            assert table["time"].max() - table["time"].min() > 0.99 * (observation.tstop - observation.tstart - 40)

    def test_stars(self, products):
        """Residuals of stars are the noise of their magnitude, along both axes and without an offset."""
        _, paths, _ = products
        residuals = list(star_residuals(paths))
        lost = []
        assert [star["slot"] for star, *_ in residuals] == [3, 4, 5, 6, 7]
        for star, rows, *axes in residuals:
            noise = 0.05 * 10 ** (0.2 * (star["mag_aca"] - 7))
            for residual in axes:
                assert residual.std() == pytest.approx(noise, rel=0.05)
                assert abs(residual.mean()) < 5 * noise / np.sqrt(len(rows))
            good = rows["counts"] > 10
            lost.append((~good).sum())
            magnitude = 10.32 - 2.5 * np.log10(rows["counts"][good] / 1.696 / 5263)
            assert np.median(magnitude) == pytest.approx(star["mag_aca"], abs=0.01)
            assert 0 < (rows["status"] != 0).mean() < 0.01
        assert 0 < sum(lost) < 0.005 * len(rows)

    def test_fids(self, products):
        """Residuals of fid lights, smoothed over five centroids, are the noise less the root of five."""
        _, paths, _ = products
        residuals = list(fid_residuals(paths))
        assert len(residuals) == 3
        for rows, *axes in residuals:
            for residual in axes:
                assert residual.std() == pytest.approx(0.02 / np.sqrt(5), rel=0.1)
                assert abs(residual.mean()) < 0.002
            assert np.abs(np.diff(rows["time"]) - 4.1).max() < 1e-3

    def test_attitude(self, products):
        """Right ascension, declination and roll tell the quaternion, which dithers 8 arcsec about the observation's."""
        observation, paths, kind = products
        _, asol = read(paths, "asol")
        for suffix in ["", "_raw"][: 1 + (kind == "new")]:
            ra, dec, roll = (np.radians(asol[name + suffix]) for name in ("ra", "dec", "roll"))
            q = asol["q_att" + suffix]
            assert np.allclose((q**2).sum(axis=1), 1)
            assert np.abs(np.diff(q, axis=0)).max() < 1e-6
            pointing = np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1)
            assert np.allclose(body(q, pointing), [1, 0, 0], atol=1e-9)
            north = np.stack([-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)], axis=1)
            assert np.allclose(body(q, north), np.stack([0 * roll, np.sin(roll), np.cos(roll)], axis=1), atol=1e-9)
        _, (*_, q) = solution(paths)
        ra, dec = np.radians([observation.ra, observation.dec])
        mean = np.array([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
        for angle in angles(body(q, mean)):
            assert [angle.min(), angle.max()] == pytest.approx([-7.98, 7.98], abs=0.05)

    def test_drift(self, products):
        """The solution tells the drift of the SIM; the newer kind has zeros where the older tells it."""
        _, paths, kind = products
        _, (dy, dz, theta, _) = solution(paths)
        assert (abs(dy - 0.3) < 0.002).all()
        assert (np.diff(np.convolve(dz, np.ones(2000) / 2000, "valid")[::2000]) < 0).all()
        assert (np.diff(theta) > 0).all()
        if kind == "new":
            _, asol = read(paths, "asol")
            assert not any(asol[name].any() for name in ("dy", "dz", "dtheta"))

    def test_bad_stretch(self, products):
        """There is one stretch of bad status, every 1.025 s a sample, and good ones on both sides."""
        _, quality = read(products[1], "aqual")
        bad = quality["asp_sol_status"] != 0
        assert 6 <= bad.sum() < 60
        assert np.flatnonzero(np.diff(bad)).size == 2
        assert np.allclose(np.diff(quality["time"]), 1.025, atol=1e-6)

    def test_telemetry(self, products):
        """Centroids have the times of the simulated readouts, and lie where their images do."""
        _, paths, _ = products
        _, acen = read(paths, "acen")
        for slot in (0, 4):
            rows = acen[(acen["slot"] == slot) & (acen["alg"] == 8)][:500]
            size = {4: 8, 2: 6, 1: 4}[int(rows["time"][1] - rows["time"][0])]
            times = aca_l0.times(rows["time"][0], rows["time"][-1] + 0.1, size)
            assert np.array_equal(times, rows["time"])
            readouts = aca_l0.readouts(slot, size, times)
            for name, centroid in (("IMGROW0", "cent_i"), ("IMGCOL0", "cent_j")):
                # Rounded to a pixel there; the misalignment and the size of a pixel are a little at odds here.
                assert np.abs(readouts[name] + size / 2 - rows[centroid]).max() < 1
            assert np.ptp(rows["cent_i"]) == pytest.approx(3.2 if slot == 4 else 0, abs=0.3)

    def test_place_of_a_fid(self):
        """A light that is to be seen at given angles is put where it is seen there, to a milliarcsecond."""
        place = sky.fid_place(1900.0, -700.0, 0.3, -0.2, 0.5)
        seen = sky.fid_angles(place, *(np.array([value]) for value in (0.3, -0.2, 0.5)))
        assert [float(angle[0]) for angle in seen] == pytest.approx([1900, -700], abs=1e-3)

    def test_same_bytes(self, products, tmp_path):
        """Written again, a file is the same; of another seed it is not."""
        observation, paths, _ = products
        again = asp_l1.write_products(tmp_path, observation, observation.last)
        assert [p.read_bytes() for p in again] == [p.read_bytes() for p in paths]
        other = asp_l1.write_products(tmp_path, observation, observation.last, seed=1)
        assert read(other, "acen")[1].tobytes() != read(paths, "acen")[1].tobytes()

    def test_revisions(self, tmp_path):
        """Another revision has the same stars and times, and other noise."""
        observation = first(lambda o: len(o.revisions) == 2)
        one, two = (asp_l1.write_products(tmp_path, observation, revision) for revision in observation.revisions)
        assert (read(one, "gspr")[1] == read(two, "gspr")[1]).all()
        first_one, second = (read(paths, "acen")[1] for paths in (one, two))
        assert (first_one["time"] == second["time"]).all()
        assert (first_one["ang_y"] != second["ang_y"]).all()

    def test_two_intervals(self, tmp_path):
        """Now and then there are two aspect intervals, one after the other; of some, slot 7 is a monitor."""
        seen = set()
        template = first(lambda o: o.last < 3)
        template = replace(template, tstop=template.tstart + 600)
        for obsid in range(20000, 20080):
            observation = replace(template, obsid=obsid)
            paths = asp_l1.write_products(tmp_path, observation, observation.last)
            kind = read(paths, "gspr")[1]["type"][4].strip()
            seen.add((len(paths) // 6, kind))
            if len(paths) == 12:
                (a, b), (c, d) = (
                    (h["TSTART"], h["TSTOP"]) for h in (read(paths[i : i + 6], "asol")[0] for i in (0, 6))
                )
                assert observation.tstart < a < b < c < d < observation.tstop
                for kind in ("gspr", "fidpr"):
                    assert (read(paths[:6], kind)[1] == read(paths[6:], kind)[1]).all()
        assert seen == {(1, b"GUIDE"), (2, b"GUIDE"), (2, b"MONITOR")}

    def test_errors(self, tmp_path):
        """What has no products is named, and nothing is left behind."""
        observation = first(lambda o: True)
        with pytest.raises(ValueError, match=rf"revision 9 of obsid {observation.obsid} is not one of"):
            asp_l1.write_products(tmp_path, observation, 9)
        with pytest.raises(ValueError, match="is an engineering observation"):
            asp_l1.write_products(tmp_path, replace(observation, detector="NONE"), observation.last)
        with pytest.raises(ValueError, match="too short"):
            short = replace(observation, tstop=observation.tstart + 300)
            asp_l1.write_products(tmp_path, short, observation.last)
        assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def some():
    """Choose three short observations: of two revisions, of one that is not released, and of engineering."""
    chosen: list[Observation] = [
        first(lambda o: len(o.revisions) == 2 and o.default != o.last),
        first(lambda o: o.default is None),
        next(o for o in observations(6.8e8, 6.9e8) if o.detector == "NONE"),
    ]
    return [replace(o, tstop=o.tstart + 600) for o in chosen]


class TestArchive:
    """Many observations."""

    def rows(self, top, name, table):
        """Read a table."""
        with closing(sqlite3.connect(top / name)) as db:
            db.row_factory = sqlite3.Row
            return [dict(row) for row in db.execute(f"SELECT * FROM {table}")]

    def test_tables_and_links(self, tmp_path, some):
        """Tables list every file and revision and tell the default, as the links do; engineering has nothing."""
        done = []
        files = asp_l1.write_archive(tmp_path, some, progress=done.append)
        top = tmp_path / "data/mica/archive/asp1"
        two, unreleased, engineering = some
        assert done == [1, 2, 3]
        assert files == sorted(top.glob("*/*_v*/*.fits.gz"))
        assert not list(top.glob(f"*/{engineering.obsid}*"))

        rows = self.rows(top, "archfiles.db3", "archfiles")
        assert sorted(row["filename"] for row in rows) == sorted(p.name for p in files)
        for row in rows:
            path = next(p for p in files if p.name == row["filename"])
            header = fits.getheader(path, 1)
            assert [row[k] for k in ("tstart", "tstop", "content", "revision")] == [
                header[k] for k in ("TSTART", "TSTOP", "CONTENT", "REVISION")
            ]
            assert (str(row["obsid"]), row["filetime"]) == (header["OBS_ID"], int(header["TSTART"]))
            assert row["isdefault"] == (1 if (row["obsid"], row["revision"]) == (two.obsid, two.default) else None)

        processing = self.rows(top, "processing_asp_l1.db3", "aspect_1_proc")
        assert len({row["aspect_1_id"] for row in processing}) == 3
        assert [(row["obsid"], row["revision"], row["isdefault"]) for row in processing] == [
            *((two.obsid, r, 1 if r == two.default else None) for r in two.revisions),
            (unreleased.obsid, unreleased.last, None),
        ]
        links = {p.name: p.readlink().name for p in top.glob("*/*") if p.is_symlink()}
        assert links == {
            f"{two.obsid}": f"{two.obsid}_v{two.default:02d}",
            f"{two.obsid}_last": f"{two.obsid}_v{two.last:02d}",
            f"{unreleased.obsid}_last": f"{unreleased.obsid}_v{unreleased.last:02d}",
        }

    def test_same_whatever_the_jobs(self, tmp_path, some):
        """One process or two, once or twice: the same bytes, tables included, and nothing beside."""

        def content(root):
            return {p.relative_to(root): p.read_bytes() for p in root.rglob("*") if p.is_file()}

        asp_l1.write_archive(tmp_path / "1", some)
        asp_l1.write_archive(tmp_path / "2", some, jobs=2)
        once = content(tmp_path / "1")
        assert once == content(tmp_path / "2")
        asp_l1.write_archive(tmp_path / "1", some)
        assert content(tmp_path / "1") == once
        assert multiprocessing.active_children() == []

    def test_errors(self, tmp_path, some):
        """No jobs, no archive."""
        with pytest.raises(ValueError, match="jobs 0 must"):
            asp_l1.write_archive(tmp_path / "new", some, jobs=0)
        assert not (tmp_path / "new").exists()
