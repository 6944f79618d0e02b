import pickle
import zipfile

import numpy as np
import pytest

from polymodal.errors import RunError
from polymodal.plain import storage
from polymodal.plain.storage import read_state, write_state


def test_settings_and_arrays_are_read_as_written(tmp_path):
    write_state(
        tmp_path / "new", {"name": "Größe", "list": [1, None]}, {"a/b": np.arange(3.0), "n": np.array(["x"])}
    )
    settings, arrays = read_state(tmp_path / "new")
    assert settings == {"name": "Größe", "list": [1, None]}
    assert arrays["a/b"].tolist() == [0, 1, 2] and arrays["n"].tolist() == ["x"]


class Hostile:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("a pickle was loaded",))


def test_objects_are_neither_written_nor_read(tmp_path):
    with pytest.raises(ValueError):
        write_state(tmp_path, {}, {"a": np.array([Hostile()], dtype=object)})
    write_state(tmp_path, {}, {})
    with (tmp_path / storage.ARRAYS).open("wb") as file:
        np.savez(file, a=np.array([Hostile()], dtype=object))
    with pytest.raises(RunError, match="no plain model"):
        read_state(tmp_path)
    (tmp_path / storage.ARRAYS).write_bytes(pickle.dumps(Hostile()))
    with pytest.raises(RunError, match="no plain model"):
        read_state(tmp_path)


@pytest.mark.parametrize("name", [storage.SETTINGS, storage.ARRAYS])
@pytest.mark.parametrize("content", [None, b"", b"[]", b"{", b"PK\x03\x04"])
def test_wrong_files_are_one_line(tmp_path, name, content):
    write_state(tmp_path, {}, {"a": np.zeros(2)})
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(RunError) as caught:
        read_state(tmp_path)
    assert "\n" not in str(caught.value)


def test_arrays_that_unpack_to_too_much_are_refused(tmp_path, monkeypatch):
    write_state(tmp_path, {}, {"a": np.zeros(10_000)})
    monkeypatch.setattr(storage, "MOST_BYTES", 2**10)
    with pytest.raises(RunError, match="expected at most"):
        read_state(tmp_path)
    with zipfile.ZipFile(tmp_path / storage.ARRAYS) as file:
        assert file.infolist()[0].compress_size < 2**10


def test_damaged_bytes_are_one_line_or_other_values(tmp_path):
    write_state(tmp_path, {}, {"a": np.random.default_rng(0).normal(size=40), "b": np.arange(9)})
    whole = (tmp_path / storage.ARRAYS).read_bytes()
    refused = 0
    for index in range(len(whole)):
        for flip in (0x01, 0x20, 0xFF):
            part = bytes([whole[index] ^ flip])
            (tmp_path / storage.ARRAYS).write_bytes(whole[:index] + part + whole[index + 1 :])
            try:
                read_state(tmp_path)
            except RunError as error:
                refused += 1
                assert "\n" not in str(error)
    assert refused > len(whole)


@pytest.mark.parametrize("shape", [(10**14,), (10**30,), (-1,), (2**62, 2**62)])
def test_a_header_of_a_huge_shape_is_one_line(tmp_path, shape):
    write_state(tmp_path, {}, {})
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    with zipfile.ZipFile(tmp_path / storage.ARRAYS, "w") as file:
        file.writestr("a.npy", b"\x93NUMPY\x01\x00\x76\x00" + header.encode())
    with pytest.raises(RunError, match="no plain model"):
        read_state(tmp_path)
