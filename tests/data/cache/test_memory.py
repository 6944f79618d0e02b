"""What was read once is kept: in memory up to a limit, then on disk, by content, within limits."""

import time

import numpy as np
import pytest

from polymodal.data.cache.disk import DiskStore
from polymodal.data.cache.memory import TRIALS, WORTH, ReadCache, cell_key, digest

BIG = 10**9


def slow(value: float, made: list[float]):
    def make() -> np.ndarray:
        time.sleep(2 * WORTH)
        made.append(value)
        return np.full(4, value, dtype=np.float32)

    return make


def test_an_array_is_made_once():
    cache, made = ReadCache(), []
    for _ in range(3):
        assert cache.get(("a", 1), slow(5.0, made)).tolist() == [5.0] * 4
    assert made == [5.0] and cache.size == 16


def test_what_finds_no_room_is_made_again_and_counted():
    cache, made = ReadCache(limit=20), []
    for _ in range(2):
        for number in (1, 2):
            cache.get(("a", number), slow(number, made))
    assert made == [1, 2, 2] and cache.refused == 2 and cache.room() == 4


def test_what_was_slow_to_make_is_found_on_disk_by_its_content(tmp_path):
    made: list[float] = []
    for path in ("here/a.png", "there/b.png"):  # another path, the same content, another process's cache
        cache = ReadCache(store=DiskStore(tmp_path, BIG))
        found = cache.get(("reader", path), slow(7.0, made), lambda: digest(b"content"))
        assert found.dtype == np.float32 and found.tolist() == [7.0] * 4
    cache.get(("reader", "c.png"), slow(8.0, made), lambda: digest(b"other content"))
    assert made == [7.0, 8.0]
    assert DiskStore(tmp_path, BIG).size() == (2, 32)


def test_what_is_cheap_to_make_does_not_go_to_disk_and_its_content_is_soon_not_even_read(tmp_path):
    cache, read = ReadCache(store=DiskStore(tmp_path, BIG)), []

    def content() -> bytes:
        read.append(1)
        return digest(str(len(read)).encode())

    for number in range(2 * TRIALS):
        cache.get(("reader", number), lambda: np.zeros(1), content)
    assert cache.store.size() == (0, 0) and len(read) == TRIALS


def test_memory_that_is_full_gives_over_to_the_disk(tmp_path):
    cache, made = ReadCache(limit=0, store=DiskStore(tmp_path, BIG)), []
    for _ in range(3):
        cache.get(("reader", "a"), slow(1.0, made), lambda: digest(b"a"))
    assert made == [1.0] and cache.refused == 0


def test_a_store_keeps_to_its_limit_and_pushes_out_only_what_others_left(tmp_path):
    earlier = DiskStore(tmp_path, 100)
    assert earlier.put(b"1", np.zeros(10)) and not earlier.put(b"2", np.zeros(10))  # 80 bytes each
    time.sleep(0.01)
    store = DiskStore(tmp_path, 100)
    assert store.room() == 100
    assert store.put(b"2", np.ones(10)) and store.get(b"1") is None
    assert not store.put(b"3", np.zeros(10)) and store.get(b"2").tolist() == [1.0] * 10
    assert store.room() == 20 and not store.put(b"4", np.zeros(1000))


def test_a_store_whose_file_is_damaged_says_so_and_can_be_cleared(tmp_path):
    (tmp_path / "arrays.sqlite").write_bytes(b"no database" * 100)
    store = DiskStore(tmp_path, BIG)
    assert store.get(b"1") is None and not store.put(b"1", np.zeros(1))
    assert "arrays.sqlite" in store.broken and "not a database" in store.broken
    store.clear()
    assert store.put(b"1", np.ones(1)) and store.get(b"1").tolist() == [1.0]


def test_a_folder_that_cannot_be_made_leaves_the_store_alone(tmp_path):
    (tmp_path / "file").write_text("")
    store = DiskStore(tmp_path / "file" / "cache", BIG)
    assert not store.put(b"1", np.zeros(1)) and store.broken and store.room() == 0


def test_a_store_goes_to_workers(tmp_path):
    import pickle

    store = DiskStore(tmp_path, BIG)
    store.put(b"1", np.ones(1))
    assert pickle.loads(pickle.dumps(store)).get(b"1").tolist() == [1.0]


@pytest.mark.parametrize(("one", "other"), [("1", 1), (1, 1.0), (True, 1), ("a", b"a")])
def test_cells_that_differ_have_keys_that_differ(one, other):
    assert cell_key(one) != cell_key(other)
