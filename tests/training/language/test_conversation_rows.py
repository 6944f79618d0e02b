"""Conversations of a table: encoded once, with items left out by chance that can be repeated."""

import numpy as np
import pytest

import polymodal as pm
from polymodal.data.tables.table import read_table
from polymodal.training.language.conversation_rows import ConversationRows
from polymodal.training.opening import open_job
from polymodal.training.request import FitRequest
from tests.support.tables import write_houses
from tests.support.talks import language


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """A job of photos, recordings and notes, with its model."""
    folder = tmp_path_factory.mktemp("rows")
    write_houses(folder, rows=40, empty=0.3)
    settings = language(inputs__photo__size=16, inputs__voice__seconds=0.1)
    opened = open_job(
        FitRequest(folder / "houses.csv", prompt="{photo} {voice}", answer="{kind}", settings=settings)
    )
    _ = opened.model  # it counts the tokens of items
    return opened


@pytest.fixture
def make(job):
    def make(table=None, **options):
        table = job.splits["train"] if table is None else table
        rows = ConversationRows(table, job.reader, job.processor, job.cache, **options)
        assert not rows.prepare()
        return rows

    return make


def absent(rows, epoch):
    """By row the inputs that are left out in an epoch."""
    rows.set_epoch(epoch)
    items = [{media.input for media in row.encoded.media} for row in rows.rows]
    given = [{media.input for media in rows[index].encoded.media} for index in range(len(rows))]
    return [sorted(all_ - some) for all_, some in zip(items, given, strict=True)]


def test_what_is_left_out_hangs_on_seed_epoch_and_row_alone(make):
    rows, same, other = make(dropout=0.5, seed=3), make(dropout=0.5, seed=3), make(dropout=0.5, seed=4)
    first = absent(rows, 0)
    assert absent(rows, 1) != first and absent(rows, 0) == first == absent(same, 0)
    assert absent(other, 0) != first
    assert [absent(same, 0)[row] for row in (5, 3)] == [first[5], first[3]]
    shares = [name for epoch in range(20) for row in absent(rows, epoch) for name in row]
    held = 20 * sum(len({media.input for media in row.encoded.media}) for row in rows.rows)
    assert 0.4 < len(shares) / held < 0.6


def test_one_input_stays_where_texts_ask_nothing(make):
    rows = make(dropout=0.9, keeps_one=True)
    for epoch in range(5):
        for row, gone in zip(rows.rows, absent(rows, epoch), strict=True):
            there = {media.input for media in row.encoded.media}
            assert not there or len(gone) < len(there)
    bare = make(dropout=0.9)
    assert any(len(gone) == 2 for gone in absent(bare, 0))


def test_an_input_left_out_is_one_token_that_says_so(make, job):
    rows = make()
    full = next(index for index, row in enumerate(rows.rows) if len(row.encoded.media) == 2)
    (photo, no_photo), (voice, _) = (job.processor.placeholders[name] for name in ("photo", "voice"))
    before = rows[full].encoded.ids.tolist()
    rows.empty = ["photo"]
    turn = rows[full]
    after = turn.encoded.ids.tolist()
    assert [media.input for media in turn.encoded.media] == ["voice"] and len(turn.kept) == len(
        turn.taken
    ) == 1
    assert after == [no_photo if token == photo else token for token in before]  # 16 pixels take one token
    assert after.count(voice) == before.count(voice) == turn.taken[0]
    assert (turn.encoded.learned == rows.rows[full].encoded.learned).all()


def test_a_row_of_no_process_teaches_nothing_and_reads_nothing(make, monkeypatch):
    rows = make()
    full = next(index for index, row in enumerate(rows.rows) if len(row.encoded.media) == 2)
    monkeypatch.setattr(rows.processor, "read_item", None)
    turn = rows[~full]
    assert not turn.encoded.learned.any() and turn.encoded.media == () and turn.kept == []


def test_rows_are_left_out_by_their_numbers_in_the_file(job, tmp_path):
    write_houses(tmp_path, rows=12, empty=0.0)
    table = read_table(tmp_path / "houses.csv").select([8, 3, 5, 0])
    (tmp_path / "photos/3.png").write_bytes(b"no picture")
    (tmp_path / "sounds/0.wav").unlink()
    rows = ConversationRows(table, job.reader, job.processor, column=None)
    problems = rows.prepare()
    assert [(problem.row, problem.column) for problem in problems] == [(4, "photo"), (1, "voice")]
    assert [len(row.encoded.ids) > 0 for row in rows.rows] == [True, False, True, False]
    rows.leave_out(problems)
    assert len(rows) == 2 and rows.numbers.tolist() == [8, 5]
    assert [row["id"] for row in rows.table.rows()] == ["h8", "h5"]
    assert [problem.row for problem in rows.longer_than(3)] == [9, 6] and not rows.longer_than(10_000)


def test_what_is_to_be_answered_holds_no_answer(make, job):
    asked, learned = make(reply=True), make()
    for without, whole in zip(asked.rows, learned.rows, strict=True):
        ids = whole.encoded.ids
        said = np.flatnonzero(whole.encoded.learned)
        assert ids[: said[0]].tolist() == without.encoded.ids.tolist() and not without.encoded.learned.any()
    assert (asked.lengths < learned.lengths).all()


def test_a_file_that_is_gone_amid_the_training_is_named(job, tmp_path):
    write_houses(tmp_path, rows=6, empty=0.0)
    rows = ConversationRows(read_table(tmp_path / "houses.csv"), job.reader, job.processor)
    assert not rows.prepare()
    (tmp_path / "photos/2.png").unlink()
    with pytest.raises(pm.PolymodalError, match=r"photos/2\.png does not exist"):
        rows[2]
