"""The lake as mica: every public name of mica, and code of those who use it, as it stands."""

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table

import mica_lake
from mica_lake.times import cxcsec

LINES = [
    line for line in (Path(__file__).parent.parent / "mica_names.txt").read_text().splitlines() if line[:1] not in "#"
]
NAMES = [line for line in LINES if " : " not in line]
MISSING = [line.split(" : ")[0] for line in LINES if " : " in line]


@pytest.fixture(autouse=True)
def as_mica(demo_lake: str, _no_lake_of_the_user: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Of the demo's lake, for one test."""
    monkeypatch.setenv("MICA_LAKE", demo_lake)
    mica_lake.install_as_mica()
    yield
    mica_lake.uninstall_as_mica()


def resolved(name: str) -> Any:
    """What a dotted name stands for, as somebody imports it who knows nothing of mica_lake."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        module, _, attribute = name.rpartition(".")
        return getattr(importlib.import_module(module), attribute)


@pytest.mark.parametrize("name", NAMES)
def test_each_public_name_of_mica_is_there(name: str) -> None:
    assert resolved(name) is not None


@pytest.mark.parametrize("name", MISSING)
def test_what_is_missing_on_purpose_is_missing(name: str) -> None:
    """Fails when it has come: then its reason in mica_names.txt goes."""
    with pytest.raises((ModuleNotFoundError, AttributeError), match=name.rpartition(".")[2]):
        resolved(name)


def test_a_module_of_mica_is_the_one_of_the_lake() -> None:
    import mica  # type: ignore[import-not-found]
    import mica.archive.aca_l0  # type: ignore[import-not-found]
    from mica.stats import acq_stats  # type: ignore[import-not-found]

    import mica_lake.archive.aca_l0
    import mica_lake.stats.acq_stats

    assert mica.archive.aca_l0 is sys.modules["mica.archive.aca_l0"] is mica_lake.archive.aca_l0
    assert acq_stats is mica_lake.stats.acq_stats
    assert mica_lake.archive.aca_l0.__name__ == mica_lake.archive.aca_l0.__spec__.name == "mica_lake.archive.aca_l0"
    assert mica.__version__ == mica_lake.__version__


def test_modules_are_imported_when_they_are_asked_for() -> None:
    script = (
        "import sys, mica_lake; mica_lake.install_as_mica(); import mica.archive\n"
        "assert 'duckdb' not in sys.modules; import mica.vv; assert 'duckdb' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_lakes_own_modules_are_not_taken_for_those_of_mica() -> None:
    import mica_lake.catalog  # noqa: F401 - mica has a catalog of stars

    with pytest.raises(ModuleNotFoundError, match=r"mica_lake has no counterpart of mica\.catalog"):
        importlib.import_module("mica.catalog")
    with pytest.raises(ImportError):
        from mica import catalog  # noqa: F401


def test_it_can_be_undone_and_done_again() -> None:

    mica_lake.uninstall_as_mica()
    mica_lake.uninstall_as_mica()
    assert [name for name in sys.modules if name == "mica" or name.startswith("mica.")] == []
    with pytest.raises(ModuleNotFoundError, match="No module named 'mica'"):
        importlib.import_module("mica.archive.aca_l0")
    mica_lake.install_as_mica()
    mica_lake.install_as_mica()
    assert importlib.import_module("mica.archive.aca_l0") is mica_lake.archive.aca_l0
    assert len([finder for finder in sys.meta_path if type(finder).__name__ == "_Finder"]) == 1


def a_mica(folder: Path) -> Path:
    """The package of another mica."""
    (folder / "mica").mkdir()
    (folder / "mica" / "__init__.py").write_text("real = True\n")
    return folder


def test_it_goes_before_a_mica_that_is_there_but_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(a_mica(tmp_path))
    assert importlib.import_module("mica").__version__ == mica_lake.__version__
    mica_lake.uninstall_as_mica()
    assert importlib.import_module("mica").real
    with pytest.raises(ImportError, match=r"mica itself has already been imported, from .*__init__.py"):
        mica_lake.install_as_mica()
    assert importlib.import_module("mica").real
    del sys.modules["mica"]


def test_a_script_runs_unchanged(tmp_path: Path, demo_lake: str) -> None:
    (tmp_path / "beside.py").write_text("SLOT = 3\n")
    (tmp_path / "script.py").write_text(
        "import sys\n"
        "from beside import SLOT\n"
        "from mica.archive import aca_l0\n"
        "if __name__ == '__main__':\n"
        "    print(len(aca_l0.get_slot_data(*sys.argv[1:], slot=SLOT)), sys.argv[0].endswith('script.py'))\n"
    )
    command = [sys.executable, "-m", "mica_lake.as_mica"]
    environment = os.environ | {"MICA_LAKE": demo_lake}
    arguments = [str(tmp_path / "script.py"), "2024:001", "2024:001:00:10"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout == "293 True\n"
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stderr) == (1, "usage: python -m mica_lake.as_mica SCRIPT [ARGUMENT ...]\n")
    done = subprocess.run([*command, "absent.py"], capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stderr) == (1, "absent.py: no such script\n")


# --- as public code calls it ------------------------------------------------------------------------------------------


def test_proseco_takes_the_dark_image_before_an_observation() -> None:
    from mica.archive.aca_dark import get_dark_cal_id, get_dark_cal_image, get_dark_cal_props

    image = get_dark_cal_image(date="2024:001", select="before", t_ccd_ref=-12.0, aca_image=True)
    assert get_dark_cal_id(date="2024:001", select="before") == "2023341"
    assert (image.shape, image.row0, image.col0) == ((1024, 1024), -512, -512)
    assert image.aca[-512, -512] == image[0, 0]
    props = get_dark_cal_props("2024:001", select="nearest", include_image=True, aca_image=False)
    scale = np.float32((1 / 0.7) ** ((-12.0 - props["ccd_temp"]) / 4))
    np.testing.assert_array_equal(np.asarray(image), props["image"] * scale)


def test_agasc_takes_slot_data_and_edits_its_mask() -> None:
    from mica.archive import aca_l0

    columns = ["TIME", "END_INTEG_TIME", "IMGSIZE", "IMGROW0", "IMGCOL0", "TEMPCCD", "IMGRAW"]
    data = aca_l0.get_slot_data("2024:001", "2024:001:00:10", slot=3, centered_8x8=True, columns=columns)
    assert (data["IMGRAW"].shape, data["IMGRAW"].mask.all(axis=0).sum()) == ((293, 8, 8), 64 - 36)
    table = Table(data)
    assert table.colnames == [name for name in aca_l0.ACA_DTYPE_NAMES if name in columns]
    data["TIME"].mask = np.ma.nomask
    data["TEMPCCD"].mask[:] = False
    data["TEMPCCD"][:2] = np.ma.masked
    data["IMGRAW"].mask[0] = True
    assert data["TEMPCCD"].mask[:3].tolist() == [True, True, False]
    assert data["IMGRAW"].mask[0].all()
    assert not aca_l0.get_slot_data("2024:001", "2024:001:00:10", slot=3)["TEMPCCD"].mask[:2].any()


@pytest.mark.parametrize(("imgsize", "number"), [(None, 8), ([8], 5), ([6], 3), ([4], 0)])
def test_chandra_aca_subtracts_the_dark_background(imgsize: Any, number: int) -> None:
    from mica.archive import aca_l0
    from mica.archive.aca_dark import get_dark_cal_props

    table = aca_l0.get_aca_images(cxcsec("2024:001"), cxcsec("2024:001") + 30, imgsize=imgsize)
    assert type(table["IMG"]) is MaskedColumn
    assert set(table["IMGNUM"]) == set(
        {None: range(8), 8: [0, 1, 2, 6, 7], 6: range(3, 6), 4: []}[(imgsize or [None])[0]]
    )
    dark = get_dark_cal_props("2024:001", select="nearest", include_image=True)["image"]
    rows, columns = np.array(table["IMGROW0_8X8"], int) + 512, np.array(table["IMGCOL0_8X8"], int) + 512
    background = np.zeros((len(table), 8, 8))
    for i, (row, column) in enumerate(zip(rows, columns, strict=True)):
        part = dark[max(row, 0) : row + 8, max(column, 0) : column + 8]
        background[i, : part.shape[0], : part.shape[1]] = part
    less = table["IMG"] - background * np.array(table["INTEG"])[:, None, None] / 5
    table["IMGBGSUB"] = less
    assert less.shape == (len(table), 8, 8)
    np.testing.assert_array_equal(table["IMGBGSUB"].mask, table["IMG"].mask)
    assert len(set(table["IMGNUM"])) == number


def test_perigee_plots_replace_the_values_of_a_set() -> None:
    from mica.archive import aca_hdr3  # type: ignore[import-not-found]

    telemetry = aca_hdr3.MSIDset(["ccd_temp", "aca_temp", "dac"], "2024:001", "2024:001:00:10")
    for msid in telemetry.values():
        good = ~np.ma.getmaskarray(msid.vals)
        msid.vals, msid.times = msid.vals[good], msid.times[good]
        assert len(msid.vals) == len(msid.times)
    telemetry["dac"].vals = telemetry["dac"].vals * 2.0
    assert telemetry["dac"].vals.dtype == np.float64


def test_aimpoint_takes_the_aspect_solutions_of_an_observation() -> None:
    from mica.archive import asp_l1, obspar

    obsid = obspar.get_obsids("2024:001", "2024:001:02:00")[0]
    files = asp_l1.get_files(obsid=obsid, content="ASPSOL")
    assert files == asp_l1.get_files(obsid, content=["ASPSOL"])
    assert files
    assert all("asol" in Path(name).name for name in files)


def test_an_acaimage_is_that_of_chandra_aca_where_it_is_installed(tmp_path: Path, demo_lake: str) -> None:
    """A package of that name stands in for it, in a process of its own; its class takes what the real one takes."""
    folder = tmp_path / "chandra_aca"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "aca_image.py").write_text(
        "import numpy as np\n"
        "class ACAImage(np.ndarray):\n"
        "    def __new__(cls, *args, row0=None, col0=None, meta=None, **kwargs):\n"
        "        image = np.array(*args, **kwargs).view(cls)\n"
        "        image.meta = dict(meta or {})\n"
        "        if row0 is not None: image.meta |= {'IMGROW0': row0, 'IMGCOL0': col0}\n"
        "        return image\n"
    )
    script = (
        "import mica_lake; mica_lake.install_as_mica()\n"
        "from mica.archive import aca_l0; from mica.archive.aca_dark import dark_cal\n"
        "from chandra_aca.aca_image import ACAImage\n"
        "images = aca_l0.get_l0_images('2024:001', '2024:001:00:00:20', 3)\n"
        "dark = dark_cal.get_dark_cal_image('2024:001', aca_image=True)\n"
        "assert all(isinstance(image, ACAImage) for image in [*images, dark]), type(dark)\n"
        "assert aca_l0.ACAImage is dark_cal.ACAImage is ACAImage\n"
        "print(len(images), images[0].meta['IMGROW0'], dark.meta['IMGROW0'])\n"
    )
    environment = os.environ | {"MICA_LAKE": demo_lake, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False)
    assert done.stderr == ""
    assert done.stdout.split()[0] == "10"
    assert done.stdout.split()[2] == "-512"
