"""Decoding in other processes: a crash, an endless read and a bad file cost their own row alone."""

import asyncio
import io
import os
import signal
import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from polymodal.data.media.limits import Limits
from polymodal.data.media.path_access import NOWHERE
from polymodal.data.readers import CategoryReader, ImageReader
from polymodal.data.row_processor import RowProcessor
from polymodal.serving.decoding import CRASHED, Decoders


class Hostile(ImageReader):
    """Reads pictures; one that is black ends the process, and one that is white never ends."""

    def read(self, cell, root):
        kept = super().read(cell, root)
        if kept.max() == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        if kept.min() == 255:
            time.sleep(60)
        return kept


def picture(shade, side=8):
    file = io.BytesIO()
    Image.new("RGB", (side, side), (shade,) * 3).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def decoders():
    made = Decoders(1, 1.0, replace(NOWHERE, limits=Limits(pixels=100)))
    yield made
    made.stop()


@pytest.fixture(scope="module")
def reading():
    readers = {"city": CategoryReader(categories=["Oslo"]), "photo": Hostile(size=8)}
    return RowProcessor(readers)


def read(decoders, reading, *rows):
    return asyncio.run(decoders.read(reading, rows))


def test_a_row_is_read_as_in_one_process(decoders, reading):
    row = {"photo": picture(100), "city": "Oslo"}
    (read_there,) = read(decoders, reading, row)
    here, wrong = reading.read_row(row)
    assert not wrong and list(read_there.row["cells"]) == ["city", "photo"]
    assert read_there.row["cells"]["city"] == here["cells"]["city"] == 1
    np.testing.assert_array_equal(read_there.row["cells"]["photo"], here["cells"]["photo"])


def test_a_crash_and_an_endless_read_fail_alone(decoders, reading):
    rows = [{"photo": picture(0)}, {"photo": picture(50)}, {"photo": picture(255)}, {"photo": picture(60)}]
    crashed, good, endless, after = read(decoders, reading, *rows)
    assert crashed.problems == (("photo", CRASHED),)
    assert endless.problems == (("photo", "takes more than 1 seconds to decode. Make it smaller"),)
    assert not good.problems and not after.problems


def test_what_is_no_picture_and_too_large_a_one_are_named(decoders, reading):
    bad, large, path = read(
        decoders, reading, {"photo": b"no picture"}, {"photo": picture(9, 20)}, {"photo": "/etc/passwd"}
    )
    assert "no picture" in bad.problems[0][1] or "picture" in bad.problems[0][1]
    assert "100 pixels" in large.problems[0][1]
    assert "the path of a file" in path.problems[0][1]


def test_values_that_training_never_saw_are_warned_of(decoders, reading):
    (row,) = read(decoders, reading, {"city": "Rome"})
    assert row.warnings == ("city: 'Rome' was never seen in training",)
