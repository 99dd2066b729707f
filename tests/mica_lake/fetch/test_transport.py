"""A transport puts what was asked for into a folder, or says that it may not be all; it never waits for ever."""

import shutil
import time
from pathlib import Path

import pytest
from archives import ARCHIVE, START, answer

from mica_lake.errors import BadFile
from mica_lake.fetch.arc5gl import Arc5gl, commands
from mica_lake.fetch.https import Https
from mica_lake.fetch.request import OfInterval, OfName, OfObservation, Request
from mica_lake.fetch.transport import Inbox, Transport, TransportError

OBSID = 27379
FIRST = OfInterval(int(START), int(START) + 2000)
ALL = OfInterval(int(START) - 10_000, int(START) + 99_999)


def names(reference: Path, pattern: str) -> list[str]:
    return sorted(path.name for path in (reference / ARCHIVE).glob(pattern) if path.suffix != ".db3")


def got(transport: Transport, request: Request, folder: Path) -> list[str]:
    said = transport.get(request, folder)
    assert sorted(said) == sorted(path.name for path in folder.iterdir())
    return sorted(said)


def test_arc5gl_gets_the_files_of_an_interval(arc5gl: Path, reference: Path, tmp_path: Path) -> None:
    assert got(Arc5gl(), ALL, tmp_path / "a") == names(reference, "aca0/*/*/acaf*")
    assert 0 < len(got(Arc5gl(), FIRST, tmp_path / "b")) < len(names(reference, "aca0/*/*/acaf*"))
    assert "tstart=2020:067:20:25:30.816 tstop=2020:067:20:58:50.816 get aca0\n" in arc5gl.read_text()


@pytest.mark.usefixtures("arc5gl")
def test_arc5gl_gets_a_file_by_name(reference: Path, tmp_path: Path) -> None:
    name = names(reference, "aca0/*/*/acaf*.gz")[0]
    assert got(Arc5gl(), OfName(name.removesuffix(".gz")), tmp_path / "a") == [name]


@pytest.mark.usefixtures("arc5gl")
def test_arc5gl_gets_versions_of_an_observation(reference: Path, tmp_path: Path) -> None:
    for product, top in (("obspar", "obspar"), ("asp_l1", "asp1")):
        for version, number in (("default", 1), ("last", 2)):
            folder = tmp_path / product / version
            wanted = names(reference, f"{top}/27/27379_v{number:02d}/*")
            assert got(Arc5gl(), OfObservation(product, OBSID, version), folder) == wanted


def test_a_name_that_is_no_file_of_telemetry_is_not_said_to_arc5gl() -> None:
    with pytest.raises(BadFile, match="is not the name of a telemetry file"):
        commands(OfName("acaf700000003N001_3_img0.fits\noperation=delete"))


@pytest.mark.parametrize("trouble", ["garbage", "early_prompt", "empty"])
def test_whatever_arc5gl_says_the_answer_is_what_it_wrote(
    trouble: str, arc5gl: Path, reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_TROUBLE", trouble)
    wanted = [] if trouble == "empty" else names(reference, "aca0/*/*/acaf*")
    assert got(Arc5gl(), ALL, tmp_path / "a") == wanted
    assert arc5gl.exists()


@pytest.mark.usefixtures("arc5gl")
@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        ("hang", "did not answer in 1 s"),
        ("deaf", "did not answer in 1 s"),
        ("die", "ended before it showed its prompt"),
        ("die_at_once", "ended before it showed its prompt"),
        ("flood", "says more than"),
    ],
)
def test_an_arc5gl_that_hangs_dies_or_raves_is_given_up(
    trouble: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_TROUBLE", trouble)
    begun = time.monotonic()
    longest = 60.0 if trouble == "flood" else 1.0
    with pytest.raises(TransportError, match=said):
        Arc5gl(patience=1.0 if trouble == "deaf" else 20.0, longest=longest).get(ALL, tmp_path / "a")
    assert time.monotonic() - begun < 15


def test_the_public_archive_has_what_is_released(public: tuple[str, Path], reference: Path, tmp_path: Path) -> None:
    transport = Https(public[0])
    for product, top in (("obspar", "obspar"), ("asp_l1", "asp1")):
        wanted = names(reference, f"{top}/27/27379_v01/*")
        folder = tmp_path / product
        assert got(transport, OfObservation(product, OBSID, "default"), folder) == wanted
        for name in wanted:
            assert (folder / name).read_bytes() == (reference / ARCHIVE / top / "27/27379_v01" / name).read_bytes()
        assert got(transport, OfObservation(product, OBSID + 1, "default"), tmp_path / f"{product} not there") == []


@pytest.mark.parametrize(("trouble", "said"), [("500", "answers 500"), ("half", "does not answer")])
def test_a_public_archive_that_is_out_of_order_has_not_answered(
    trouble: str, said: str, public: tuple[str, Path], tmp_path: Path
) -> None:
    (public[1] / "trouble").write_text(trouble)
    with pytest.raises(TransportError, match=said):
        Https(public[0]).get(OfObservation("obspar", OBSID, "default"), tmp_path / "a")


def test_a_listing_is_not_trusted_with_paths(public: tuple[str, Path], tmp_path: Path) -> None:
    (public[1] / "trouble").write_text("evil")
    assert got(Https(public[0]), OfObservation("obspar", OBSID, "default"), tmp_path / "a") == []


def test_an_inbox_may_have_any_layout(reference: Path, tmp_path: Path) -> None:
    flat = answer(reference, "aca0", tmp_path / "flat")
    answer(reference, "obspar", flat / "deep" / "down")
    answer(reference, "asp1", flat / "deep")
    for number, top in enumerate((flat, reference)):
        inbox = Inbox(top)
        folder = tmp_path / str(number)
        assert got(inbox, ALL, folder / "all") == names(reference, "aca0/*/*/acaf*")
        name = names(reference, "aca0/*/*/acaf*.gz")[0]
        assert got(inbox, OfName(name.removesuffix(".gz")), folder / "name") == [name]
        for product, below in (("obspar", "obspar"), ("asp_l1", "asp1")):
            wanted = names(reference, f"{below}/27/27379_v02/*")
            assert got(inbox, OfObservation(product, OBSID, "default"), folder / product) == wanted
        assert got(inbox, OfObservation("obspar", 5, "default"), folder / "nothing") == []


def test_what_is_no_file_in_an_inbox_is_passed_over(tmp_path: Path) -> None:
    top = tmp_path / "inbox"
    (top / ".hidden").mkdir(parents=True)
    for folder in (top, top / ".hidden"):
        (folder / ".acaf700000003N001_3_img0.fits").touch()
    (top / ".hidden" / "acaf700000003N001_3_img0.fits").touch()
    (top / "acaf700000004N001_3_img0.fits").symlink_to("/etc/passwd")
    assert got(Inbox(top), ALL, tmp_path / "a") == []
    with pytest.raises(FileNotFoundError, match="no such folder"):
        Inbox(tmp_path / "nowhere")


def test_a_file_that_goes_while_it_is_copied_is_asked_for_again(reference: Path, tmp_path: Path) -> None:
    top = answer(reference, "aca0", tmp_path / "inbox")
    inbox = Inbox(top)
    shutil.rmtree(top)
    with pytest.raises(TransportError, match="it has gone"):
        inbox.get(ALL, tmp_path / "a")
