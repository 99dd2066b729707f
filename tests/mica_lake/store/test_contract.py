"""What every store promises: tried on a disk, on an object store and on obstore's store in memory."""

import threading
from collections.abc import Iterator
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from mica_lake import LakeError
from mica_lake.simulate.object_store import ObjectStore
from mica_lake.store.disk import Disk
from mica_lake.store.interface import Store
from mica_lake.store.objects import Objects, object_path

NUMBER = count()


class Contract:
    """The tests; a subclass gives a store, and a folder in it that is empty."""

    @pytest.fixture
    def place(self) -> Any:
        raise NotImplementedError

    def test_what_was_put_is_read(self, place: tuple[Store[Any], Any]) -> None:
        store, top = place
        path = top / "a" / "é =1.parquet"
        store.put(path, b"0123456789")
        content, stat = store.read(path)
        assert (content, stat.size, stat) == (b"0123456789", 10, store.stat(path))
        assert abs(store.now(path) - stat.mtime) < 60
        store.put(path, b"")
        assert store.read(path)[0] == b""

    @pytest.mark.parametrize(
        ("start", "stop", "expected"),
        [(2, 5, b"234"), (8, 20, b"89"), (3, None, b"3456789"), (-4, None, b"6789"), (-20, None, b"0123456789")],
    )
    def test_a_range_is_read(
        self, start: int, stop: int | None, expected: bytes, place: tuple[Store[Any], Any]
    ) -> None:
        store, top = place
        store.put(top / "a", b"0123456789")
        content, stat = store.read(top / "a", start, stop)
        assert (content, stat.size) == (expected, 10)

    @pytest.mark.parametrize(("start", "stop"), [(0, 5), (-5, None)])
    def test_of_an_empty_file_any_range_is_empty(
        self, start: int, stop: int | None, place: tuple[Store[Any], Any]
    ) -> None:
        store, top = place
        store.put(top / "a", b"")
        content, stat = store.read(top / "a", start, stop)
        assert (content, stat.size) == (b"", 0)

    def test_a_file_that_was_replaced_is_not_read_as_the_one_before(self, place: tuple[Store[Any], Any]) -> None:
        store, top = place
        store.put(top / "a", b"before")
        before = store.stat(top / "a").etag
        assert store.read(top / "a", 1, 3, before)[0] == b"ef"
        store.put(top / "a", b"after that")
        with pytest.raises(BlockingIOError):
            store.read(top / "a", 1, 3, before)

    def test_what_is_not_there_is_said_to_be(self, place: tuple[Store[Any], Any]) -> None:
        store, top = place
        for ask in (store.read, store.stat):
            with pytest.raises(FileNotFoundError) as caught:
                ask(top / "absent")
            assert caught.value.filename == str(top / "absent")
        with pytest.raises(FileNotFoundError):
            store.copy(top / "absent", top / "a")
        store.remove([top / "absent"])
        store.remove_tree(top / "absent")
        assert list(store.files(top / "absent")) == []

    def test_what_is_new_is_put_once(self, place: tuple[Store[Any], Any]) -> None:
        store, top = place
        assert store.put_new(top / "a", b"first")
        assert store.put_new(top / "a", b"first")
        assert not store.put_new(top / "a", b"second")
        assert store.put_new(top / "b", b"first", like=top / "a")
        assert store.put_new(top / "c", b"other", like=top / "a")
        assert store.put_new(top / "d", b"other", like=top / "absent")
        assert [store.read(top / name)[0] for name in "abcd"] == [b"first", b"first", b"other", b"other"]

    def test_of_many_that_put_what_is_new_one_does(self, place: tuple[Store[Any], Any]) -> None:
        store, top = place
        start, outcomes = threading.Barrier(8), []

        def put(n: int) -> None:
            start.wait()
            outcomes.append((store.put_new(top / "a", b"%d" % n), b"%d" % n))

        threads = [threading.Thread(target=put, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [content for done, content in outcomes if done] == [store.read(top / "a")[0]]

    def test_a_version_is_swapped_for_another(self, place: tuple[Store[Any], Any]) -> None:
        store, top = place
        first = store.swap(top / "a", b"1", None)
        assert first == store.stat(top / "a").etag
        with pytest.raises(BlockingIOError):
            store.swap(top / "a", b"2", None)
        second = store.swap(top / "a", b"2", first)
        with pytest.raises(BlockingIOError):
            store.swap(top / "a", b"3", first)
        store.swap(top / "a", b"4", second)
        with pytest.raises(BlockingIOError):
            store.swap(top / "absent", b"5", second)
        assert store.read(top / "a")[0] == b"4"

    def test_a_copy_is_the_same(self, place: tuple[Store[Any], Any]) -> None:
        store, top = place
        store.put(top / "a", b"1")
        store.put(top / "x" / "b", b"another")
        store.copy(top / "a", top / "x" / "b")
        store.copy(top / "a", top / "x" / "b")
        assert store.read(top / "x" / "b")[0] == b"1"
        assert sorted(store.files(top)) == [top / "a", top / "x" / "b"]
        store.put(top / "a", b"2")
        assert store.read(top / "x" / "b")[0] == b"1"

    def test_files_are_found_and_removed(self, place: tuple[Store[Any], Any]) -> None:
        store, top = place
        for name in ("a/b/c.parquet", "a/d.parquet", "a/e", "ab/f.parquet"):
            store.put(top / name, b"x")
        assert sorted(store.files(top / "a")) == [top / "a/b/c.parquet", top / "a/d.parquet", top / "a/e"]
        assert sorted(store.files(top, "*.parquet")) == [
            top / "a/b/c.parquet", top / "a/d.parquet", top / "ab/f.parquet"
        ]  # fmt: skip
        store.remove([top / "a/e", top / "ab/f.parquet"])
        store.remove([])
        assert sorted(store.files(top)) == [top / "a/b/c.parquet", top / "a/d.parquet"]
        store.remove_tree(top / "a")
        assert list(store.files(top)) == []

    def test_there_is_one_writer(self, place: tuple[Store[Any], Any]) -> None:
        store, top = place
        lock = top / "_catalog" / "lock"
        (top / "_catalog").mkdir(parents=True, exist_ok=True)
        assert not store.writer_alive(lock)
        with store.lock(lock):
            assert store.writer_alive(lock)
            store.still_held(lock)
            with pytest.raises(LakeError, match="is being written by process"), store.lock(lock):
                pass
        assert not store.writer_alive(lock)
        with store.lock(lock):
            pass

    def test_each_is_called_in_order(self, place: tuple[Store[Any], Any]) -> None:
        assert place[0].each(lambda n: n * n, range(30)) == [n * n for n in range(30)]


class TestDisk(Contract):
    @pytest.fixture
    def place(self, tmp_path: Path) -> tuple[Disk, Path]:
        return Disk(), tmp_path / "lake"

    def test_a_copy_is_a_link(self, place: tuple[Disk, Path]) -> None:
        store, top = place
        store.put(top / "a", b"1")
        store.put_new(top / "b", b"1", like=top / "a")
        store.copy(top / "a", top / "c")
        assert store.same(top / "a", top / "b")
        assert store.same(top / "a", top / "c")

    def test_what_was_left_unfinished_goes(self, place: tuple[Disk, Path]) -> None:
        store, top = place
        store.put(top / "a", b"1")
        (top / ".a.4242").touch()
        (top / ".b.4242").touch()
        store.remove_unfinished(top / "a")
        assert sorted(path.name for path in top.iterdir()) == [".b.4242", "a"]


class TestObjects(Contract):
    @pytest.fixture
    def place(self, store: ObjectStore) -> tuple[Objects, Any]:
        return Objects(), object_path(f"s3://bucket/contract/{next(NUMBER)}")

    def test_a_copy_has_the_same_etag(self, place: tuple[Objects, Any]) -> None:
        store, top = place
        store.put(top / "a", b"1")
        store.copy(top / "a", top / "b")
        assert store.same(top / "a", top / "b")
        store.put(top / "b", b"2")
        assert not store.same(top / "a", top / "b")


class TestMemory(Contract):
    @pytest.fixture
    def place(self) -> Iterator[tuple[Objects, Any]]:
        memory = pytest.importorskip("obstore.store").MemoryStore

        @cache
        def bucket(scheme: str, name: str) -> Any:
            return memory()

        yield Objects(bucket), object_path("s3://bucket/lake")
