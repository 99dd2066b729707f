"""What came is filed as the reference files it, or set aside with the reason."""

import gzip
import os
import shutil
from pathlib import Path

import pytest
from archives import ARCHIVE, START, answer, answer_of, content_of, listed, two_observations

from mica_lake.fetch.filing import Filed, Filing
from mica_lake.fetch.request import DEFAULT, OfInterval, OfName, OfObservation
from mica_lake.fetch.set_aside import SetAside

ALL = OfInterval(int(START), int(START) + 99_999)
OBSID = 27379


@pytest.fixture
def aside(tmp_path: Path) -> SetAside:
    return SetAside(tmp_path / "set_aside")


@pytest.fixture
def filing(tmp_path: Path, aside: SetAside) -> Filing:
    return Filing(tmp_path / ARCHIVE, aside)


def all_of_it(filing: Filing, reference: Path, tmp_path: Path) -> list[Filed]:
    filed = [filing.file(ALL, answer(reference, "aca0", tmp_path / "answer"))]
    for top, product in (("obspar", "obspar"), ("asp1", "asp_l1")):
        for observation in two_observations():
            folder = answer_of(reference, top, observation.obsid, tmp_path / f"{product}-{observation.obsid}")
            filed.append(filing.file(OfObservation(product, observation.obsid, DEFAULT), folder))
    return filed


def test_the_archive_is_that_of_the_reference(filing: Filing, reference: Path, tmp_path: Path) -> None:
    filed = all_of_it(filing, reference, tmp_path)
    assert not any(one.aside for one in filed)
    assert content_of(tmp_path) == content_of(reference)


def test_what_comes_twice_changes_nothing(filing: Filing, reference: Path, tmp_path: Path) -> None:
    all_of_it(filing, reference, tmp_path)
    shutil.rmtree(tmp_path / "answer")
    for folder in tmp_path.glob("*-*"):
        shutil.rmtree(folder)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / ARCHIVE).rglob("*.gz")}
    again = all_of_it(filing, reference, tmp_path)
    assert not any(one.aside or one.taken for one in again)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert content_of(tmp_path) == content_of(reference)


def test_nothing_of_the_work_is_left(filing: Filing, reference: Path, tmp_path: Path) -> None:
    all_of_it(filing, reference, tmp_path)
    assert [path for path in (tmp_path / ARCHIVE).rglob("*") if path.name.startswith(".")] == []


def halved(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def not_fits(path: Path) -> None:
    path.write_bytes(gzip.compress(b"<html>come back later</html>"))


def cut_before_it_was_gzipped(path: Path) -> None:
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-9000]))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (halved, "truncated"),
        (emptied, "the file is empty"),
        (not_fits, "not a FITS file"),
        (cut_before_it_was_gzipped, "truncated"),
    ],
)
def test_a_file_that_is_not_whole_is_set_aside_and_the_others_are_taken(
    spoil: object, reason: str, filing: Filing, aside: SetAside, reference: Path, tmp_path: Path
) -> None:
    folder = answer(reference, "aca0", tmp_path / "answer", "*_3_img0.fits.gz")
    bad = min(folder.iterdir())
    spoil(bad)  # type: ignore[operator]
    others = len(list(folder.iterdir())) - 1
    filed = filing.file(ALL, folder)
    assert reason in filed.aside[bad.name]
    assert len(filed.taken) == others
    assert (aside.folder / bad.name).exists()
    assert reason in (aside.folder / f"{bad.name}.txt").read_text()
    assert [(f.name, f.count) for f in aside.failures()] == [(bad.name.removesuffix(".gz"), 1)]


def test_a_file_whose_name_contradicts_its_header_is_set_aside(filing: Filing, reference: Path, tmp_path: Path) -> None:
    folder = answer(reference, "aca0", tmp_path / "answer", "*N001_0_img0.fits.gz")
    good = min(folder.iterdir())
    wrong = good.with_name(good.name.replace("N001", "N003"))
    good.rename(wrong)
    other_slot = max(folder.iterdir())
    other_slot = other_slot.rename(other_slot.with_name(other_slot.name.replace("_0_", "_1_")))
    filed = filing.file(ALL, folder)
    assert "contradicts its header" in filed.aside[wrong.name]
    assert "its name says slot 1" in filed.aside[other_slot.name]


def test_a_name_is_no_path_and_only_files_are_taken(filing: Filing, aside: SetAside, tmp_path: Path) -> None:
    folder = tmp_path / "answer"
    (folder / "..hidden").mkdir(parents=True)
    (folder / "..hidden" / "x").write_text("x")
    secret = tmp_path / "secret"
    secret.write_text("mine")
    (folder / "acaf700000003N001_0_img0.fits").symlink_to(secret)
    os.mkfifo(folder / "acaf700000003N001_3_img0.fits")
    (folder / "a\n\x1b[2J").write_text("x")
    filed = filing.file(ALL, folder)
    assert len(filed.aside) == 4
    assert secret.read_text() == "mine"
    assert {path.name for path in aside.folder.iterdir() if path.suffix != ".txt"} == {"a\\x0a\\x1b[2J"}
    assert not list((tmp_path / ARCHIVE).rglob("*.fits*"))


def test_other_content_under_a_name_that_is_there_is_set_aside(filing: Filing, reference: Path, tmp_path: Path) -> None:
    folder = answer(reference, "aca0", tmp_path / "answer", "*_3_img0.fits.gz")
    name = min(path.name for path in folder.iterdir())
    filing.file(ALL, folder)
    before = content_of(tmp_path)
    again = answer(reference, "aca0", tmp_path / "again", name)
    changed = bytearray(gzip.decompress((again / name).read_bytes()))
    changed[-9000] ^= 1
    (again / name).write_bytes(gzip.compress(bytes(changed)))
    assert "has other content under this name" in filing.file(ALL, again).aside[name]
    assert content_of(tmp_path) == before


def test_the_same_content_gzipped_otherwise_is_known(filing: Filing, reference: Path, tmp_path: Path) -> None:
    filing.file(ALL, answer(reference, "aca0", tmp_path / "answer", "*_3_img0.fits.gz"))
    before = content_of(tmp_path)
    again = answer(reference, "aca0", tmp_path / "again", "*_3_img0.fits.gz")
    for path in list(again.iterdir()):
        (again / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    filed = filing.file(ALL, again)
    assert (filed.taken, filed.aside) == ([], {})
    assert filed.known == sum(name.endswith("_3_img0.fits.gz") for name in before)
    assert content_of(tmp_path) == before


@pytest.mark.parametrize("top", ["aca0", "obspar", "asp1"])
def test_a_whole_file_takes_the_place_of_a_damaged_one(
    top: str, filing: Filing, reference: Path, tmp_path: Path
) -> None:
    all_of_it(filing, reference, tmp_path)
    rotten = max((tmp_path / ARCHIVE / top).rglob("*.gz"))
    halved(rotten)
    for folder in [tmp_path / "answer", *tmp_path.glob("*-*")]:
        shutil.rmtree(folder)
    again = all_of_it(filing, reference, tmp_path)
    assert [name for one in again for name in one.taken] == [rotten.name]
    assert content_of(tmp_path) == content_of(reference)


def test_a_newer_revision_takes_an_older_one_off_the_list(filing: Filing, reference: Path, tmp_path: Path) -> None:
    everything = answer(reference, "aca0", tmp_path / "answer")
    newer = tmp_path / "newer"
    newer.mkdir()
    for path in everything.glob("*N002*"):
        path.rename(newer / path.name)
    assert list(newer.iterdir())
    filing.file(ALL, everything)
    assert content_of(tmp_path) != content_of(reference)
    filing.file(ALL, newer)
    assert content_of(tmp_path) == {
        name: content for name, content in content_of(reference).items() if name.startswith("aca0")
    }


def test_a_file_asked_for_by_name_that_does_not_come_has_failed(
    filing: Filing, aside: SetAside, tmp_path: Path
) -> None:
    name = "acaf700000003N001_0_img0.fits"
    filed = filing.file(OfName(name), tmp_path / "nothing")
    assert filed.aside == {name: "it was asked for by name, and did not come"}
    filing.file(OfName(name), tmp_path / "nothing")
    assert [(f.name, f.count) for f in aside.failures()] == [(name, 2)]


def test_what_failed_is_forgotten_when_it_is_taken(
    filing: Filing, aside: SetAside, reference: Path, tmp_path: Path
) -> None:
    good = answer(reference, "aca0", tmp_path / "good", "*_3_img0.fits.gz")
    name = min(path.name for path in good.iterdir())
    bad = answer(reference, "aca0", tmp_path / "bad", name)
    halved(bad / name)
    filing.file(ALL, bad)
    assert aside.failures()
    filing.file(ALL, good)
    assert list(aside.folder.iterdir()) == []


@pytest.mark.parametrize(("top", "product"), [("obspar", "obspar"), ("asp1", "asp_l1")])
def test_an_observation_is_filed_whole_or_not_at_all(
    top: str, product: str, filing: Filing, aside: SetAside, reference: Path, tmp_path: Path
) -> None:
    request = OfObservation(product, OBSID, DEFAULT)
    folder = answer_of(reference, top, OBSID, tmp_path / "answer")
    bad = max((folder / "last").iterdir())
    halved(bad)
    filed = filing.file(request, folder)
    assert filed.taken == []
    assert list(filed.aside) == [bad.name]
    assert content_of(tmp_path) == {}
    assert [(f.product, f.obsid, f.count) for f in aside.failures()] == [(product, OBSID, 1)]
    shutil.rmtree(folder)
    assert filing.file(request, answer_of(reference, top, OBSID, folder)).taken
    assert aside.failures() == []


def test_a_file_of_another_observation_is_set_aside(filing: Filing, reference: Path, tmp_path: Path) -> None:
    for top, product in (("obspar", "obspar"), ("asp1", "asp_l1")):
        folder = answer_of(reference, top, OBSID, tmp_path / product)
        filed = filing.file(OfObservation(product, OBSID + 1, DEFAULT), folder)
        assert filed.taken == []
        assert "contradicts" in next(iter(filed.aside.values()))


def test_a_revision_that_is_released_later_becomes_the_default(filing: Filing, reference: Path, tmp_path: Path) -> None:
    request = OfObservation("obspar", OBSID, DEFAULT)
    group, database = tmp_path / ARCHIVE / "obspar/27", tmp_path / ARCHIVE / "obspar/archfiles.db3"

    def links() -> dict[str, str]:
        return {path.name: str(path.readlink()) for path in group.iterdir() if path.is_symlink()}

    def defaults() -> list[object]:
        return [row[6] for row in listed(database)[1:]]

    first = answer_of(reference, "obspar", OBSID, tmp_path / "first")
    filing.file(request, first)
    assert links() == {"27379": "27379_v01", "27379_last": "27379_v02"}
    assert defaults() == [1, None]
    later = answer_of(reference, "obspar", OBSID, tmp_path / "later")
    shutil.rmtree(later / "default")
    shutil.copytree(later / "last", later / "default")
    filing.file(request, later)
    assert links() == {"27379": "27379_v02"}
    assert defaults() == [None, 1]


def test_an_empty_answer_takes_nothing_away(filing: Filing, reference: Path, tmp_path: Path) -> None:
    all_of_it(filing, reference, tmp_path)
    for product in ("obspar", "asp_l1"):
        assert filing.file(OfObservation(product, OBSID, DEFAULT), tmp_path / "nothing") == Filed()
    assert filing.file(ALL, tmp_path / "nothing") == Filed()
    assert content_of(tmp_path) == content_of(reference)


def test_two_revisions_under_one_version_are_set_aside(filing: Filing, reference: Path, tmp_path: Path) -> None:
    folder = answer_of(reference, "obspar", OBSID, tmp_path / "answer")
    for path in list((folder / "default").iterdir()):
        path.rename(folder / "last" / path.name)
    filed = filing.file(OfObservation("obspar", OBSID, DEFAULT), folder)
    assert set(filed.aside.values()) == {"revisions 1, 2 came together"}
    assert content_of(tmp_path) == {}
