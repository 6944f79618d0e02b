"""The check before the first step: tokens counted, rows that teach nothing, too long or unreadable ones."""

import pytest

from polymodal.errors import ConfigError
from polymodal.training.language.language_check import LISTED, check_language
from polymodal.training.opening import open_job
from polymodal.training.request import FitRequest
from tests.support.tables import house_rows, write_table
from tests.support.talks import assistant, language, user, write_talks

LONG = "a quiet street by the sea, with a garden and a garage"


@pytest.fixture
def make(tmp_path):
    """A job of a table in which some notes are long, or the answer or the split is another; and its check."""

    def make(*, long=(), split=None, kinds=None, settings=(), prompt="{note}", **more):
        rows = house_rows(tmp_path, 40, empty=0.0)
        for number, row in enumerate(rows):
            row["note"] = LONG if number in long else f"few {number}"
            row["split"] = (split or {}).get(number, "val" if number >= 35 else "train")
            row["kind"] = (kinds or {}).get(number, row["kind"])
        write_table(tmp_path / "houses.csv", rows)
        given = language(**more)
        job = open_job(
            FitRequest(tmp_path / "houses.csv", prompt=prompt, answer="{kind}", settings=[*given, *settings])
        )
        return job, check_language(job, quiet=True)

    return make


def rows_of(problems):
    return [problem.row for problem in problems]


def test_tokens_are_counted_and_a_row_is_shown(make):
    job, report = make()
    (stage,) = job.stages
    lengths = stage.rows["train"].lengths
    tokens = report.conversation["tokens"]
    assert report.ok and (tokens["shortest"], tokens["longest"]) == (lengths.min(), lengths.max())
    learned = sum(int(row.encoded.learned.sum()) for row in stage.rows["train"].rows)
    assert tokens["learned"] == pytest.approx(learned / lengths.sum()) and tokens["most"] == 2048
    assert report.conversation["shown"].endswith("<|im_start|>assistant\n«flat<|im_end|>»\n")
    assert report.conversation["row"] == 1


def test_items_count_by_what_the_connector_makes_of_them(make):
    large = {"inputs__photo__size": 64, "generation__vocabulary": 320}
    lengths = []
    for connector in ("mlp", "{type: resampler, queries: 9, heads: 2}"):
        given = [f"inputs.photo.connector={connector}", "inputs.photo.tokens=4"]
        job, _ = make(prompt="{photo}", settings=given, **large)
        lengths.append(job.stages[0].rows["train"].lengths.max())
    assert lengths[1] - lengths[0] == 9 - 4


def test_too_long_rows_are_named_once_and_the_many_counted(make):
    _, report = make(long=range(3, 38), generation__max_length=24)
    assert rows_of(report.problems)[:LISTED] == list(range(4, 4 + LISTED))
    assert [problem.found for problem in report.problems if problem.row is None] == [
        f"{32 - LISTED} more rows of more than 24 tokens"
    ]
    assert rows_of(report.problems)[-3:] == [36, 37, 38]  # of validation
    assert not report.conversation


def test_too_long_rows_may_be_left_out_of_all_that_learns(make):
    job, report = make(long=(3, 36), generation__max_length=24, generation__too_long="leave_out")
    assert report.ok and rows_of(job.rejected) == rows_of(report.rejected) == [4, 37]
    (stage,) = job.stages
    assert len(stage.rows["train"]) == 34 and len(stage.rows["validation"]) == 4
    assert len(job.asked["validation"]) == 5  # it is asked all the same: that fits the context


def test_rows_that_are_asked_alone_need_only_fit_the_context(make):
    test = dict.fromkeys((0, 1), "test")
    job, report = make(long=(1,), split=test, generation__max_length=24)
    assert report.ok and len(job.asked["test"]) == 2
    sizes = {"generation__language_model__max_position_embeddings": 24}
    _, report = make(long=(1,), split=test, **sizes)
    assert rows_of(report.problems) == [2] and "expected at most 23" in str(report.problems[0])
    job, report = make(long=(1,), split=test, generation__too_long="leave_out", **sizes)
    assert report.ok and len(job.asked["test"]) == 1 and rows_of(job.rejected) == [2]


def test_a_pack_takes_each_row_whole(make):
    _, report = make(long=(3,), generation__pack=24)
    assert rows_of(report.problems) == [4] and "raise generation.pack" in report.problems[0].cure


def test_a_model_in_which_packed_rows_see_each_other_is_not_packed(make):
    opt = "generation.language_model={type: opt, hidden_size: 16, word_embed_proj_dim: 16, ffn_dim: 16, " \
          "num_hidden_layers: 1, num_attention_heads: 2}"  # fmt: skip
    with pytest.raises(ConfigError, match=r"'opt'.*see each other.*Leave 'pack' out"):
        make(settings=[opt, "generation.pack=64"])


def test_rows_without_an_answer_are_left_out_with_a_warning(make):
    job, report = make(kinds=dict.fromkeys((2, 4, 36), ""))
    assert report.ok and [warning.found for warning in report.warnings] == [
        "2 rows have no answer and give no loss (such as row 3)",
        "1 row has no answer and gives no loss (such as row 37)",
    ]
    assert len(job.stages[0].rows["train"]) == 33 and len(job.asked["validation"]) == 5


def test_a_split_without_an_answer_cannot_be_learned_from(make):
    _, report = make(kinds=dict.fromkeys(range(35, 40), ""))
    (problem,) = report.problems
    assert problem.found == "no rows are left that give a loss for validation"


def test_stages_are_checked_each_and_equal_rows_told_once(make):
    stages = ["stages.align.learn=[language_model]", "stages.instruct.learn=[language_model]"]
    _, report = make(long=(3,), generation__max_length=24, settings=stages)
    assert rows_of(report.problems) == [4]
    _, report = make(kinds={2: ""}, settings=stages)
    assert len(report.warnings) == 1
    job, report = make(
        long=(3,), generation__max_length=24, generation__too_long="leave_out", settings=stages
    )
    assert rows_of(job.rejected) == [4] and [len(stage.rows["train"]) for stage in job.stages] == [34, 34]


def test_columns_of_all_stages_are_named_by_their_part(make):
    own = ["stages.align.prompt='{district}'", "stages.align.answer='{note}'"]
    _, report = make(settings=[*own, "stages.instruct.train.epochs=1"])
    roles = {entry.column: entry.role for entry in report.columns}
    assert (roles["note"], roles["district"], roles["kind"]) == ("prompt", "prompt", "answer")
    assert roles["price"] == "left out"


def test_messages_that_cannot_be_read_are_told_before_their_items_are_missed(tmp_path):
    talks = [[user("flat?", image=f"photos/{number}.png"), assistant("flat")] for number in range(20)]
    house_rows(tmp_path, 20)
    talks[4][0]["content"][0] = {"type": "image"}
    talks[9][0]["role"] = "usr"
    write_talks(tmp_path / "talks.jsonl", talks)
    given = language(inputs__image__modality="image", inputs__image__size=16, generation__messages="messages")
    job = open_job(FitRequest(tmp_path / "talks.jsonl", settings=given))
    report = check_language(job, quiet=True)
    assert sorted(rows_of(report.problems)) == [5, 10]
    assert {problem.column for problem in report.problems} == {"messages"}
    skipping = open_job(FitRequest(tmp_path / "talks.jsonl", settings=[*given, "data.on_error=skip"]))
    report = check_language(skipping, quiet=True)
    assert report.ok and rows_of(report.rejected) == [5, 10]
    assert sum(len(rows) for rows in skipping.stages[0].rows.values()) + len(skipping.asked["test"]) == 18
