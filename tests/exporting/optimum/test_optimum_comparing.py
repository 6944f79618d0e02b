"""The prompts that an export to Optimum's layout is compared on, and what its writer does around them."""

import re
from collections import Counter

import pytest

from polymodal.errors import RunError
from polymodal.exporting.optimum import comparing, writing
from polymodal.exporting.optimum.comparing import STEPS, check_same, made_turns, uncompared
from polymodal.exporting.optimum.layout import encoder_files
from polymodal.runtime.opening import check_files
from polymodal.utils import checksums
from tests.support.talking_runs import make_talking_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_talking_run(tmp_path_factory.mktemp("talking") / "run", kinds=["image", "audio"])


def lengths(turns):
    return [len(turn.encoded.ids) for turn in turns]


def test_prompts_have_several_lengths_and_all_inputs(run, tmp_path):
    turns = made_turns(run.processor)
    assert [[media.input for media in turn.encoded.media] for turn in turns] == [[], ["image"], ["audio"]]
    assert len(set(lengths(turns))) > 1
    alone = make_talking_run(tmp_path / "run", kinds=[])
    assert len(set(lengths(made_turns(alone.processor)))) == 2


def test_prompts_leave_room_for_an_answer_in_the_context(run):
    whole = lengths(made_turns(run.processor))
    context = max(whole) + STEPS
    assert lengths(made_turns(run.processor, context)) == whole
    assert lengths(made_turns(run.processor, context - 1)) != whole
    with pytest.raises(
        RunError, match=r"an item of '\w+' has \d+ tokens, and the .* context \d+: no room for 4"
    ):
        for shorter in range(context, 0, -1):
            assert max(lengths(made_turns(run.processor, shorter))) + STEPS <= shorter
    with pytest.raises(
        RunError, match=r"with a question has \d+ tokens, and the language model's context 5:"
    ):
        made_turns(run.processor, 5)


class Beginning:
    """An export that stops where it is begun."""

    def begin(self, ids, mask, items):
        raise EOFError(ids.shape[1])


def test_an_export_is_compared_within_the_context(tmp_path):
    wide = make_talking_run(tmp_path / "wide", kinds=["image"])
    context = max(lengths(made_turns(wide.processor))) + STEPS - 1
    run = make_talking_run(tmp_path / "run", kinds=["image"], max_position_embeddings=context)
    with pytest.raises(EOFError) as length:
        check_same(run, Beginning())
    assert length.value.args[0] <= context - STEPS


def test_encoders_of_one_name_have_files_of_their_own():
    names = encoder_files(["image", "vision", "point cloud", "depth map", "Vision", "image"])
    assert names[:2] == ["vision_encoder.onnx", "vision_encoder_2.onnx"]
    assert len({name.lower() for name in names}) == len(names)


@pytest.fixture
def unconverted(monkeypatch):
    """The writer with a file in place of what is converted; returns how often each file was summed."""
    summed = Counter()
    digest_of = checksums.digest_of

    def convert(run, words, layout, folder):
        (folder / "onnx").mkdir()
        (folder / "onnx" / layout.decoder).write_text("")
        return layout

    def counted(path):
        summed[path.name] += 1
        return digest_of(path)

    monkeypatch.setattr(checksums, "digest_of", counted)
    monkeypatch.setattr(writing, "convert", convert)
    monkeypatch.setattr(writing, "identity_of", lambda folder: "0")
    monkeypatch.setattr(writing, "ExportedWords", lambda folder, threads: check_files(folder))
    monkeypatch.setattr(writing, "check_same", lambda run, exported, judge: "compared")
    monkeypatch.setattr(writing, "card", lambda run, exported: "card")
    return summed


def test_each_file_is_summed_once(run, unconverted, tmp_path):
    writing.write(run, tmp_path / "out", [])
    assert unconverted["decoder_model_merged.onnx"] == unconverted["README.md"] == 1
    assert set(unconverted.values()) == {1}
    check_files(tmp_path / "out")


def test_encoders_that_are_not_compared_are_named(run, unconverted, tmp_path, monkeypatch):
    assert uncompared(run.processor) == []
    monkeypatch.delitem(comparing.CELLS, "audio")
    (line,) = uncompared(run.processor)
    assert line == "not compared: the encoder of 'audio', for no noise of modality 'audio' is known"
    assert [turn.kept for turn in made_turns(run.processor)][2] == []
    assert writing.write(run, tmp_path / "out", []).notes == ["compared", line]


def test_a_context_without_room_is_refused_before_the_conversion(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "convert", lambda *given: pytest.fail("was converted"))
    monkeypatch.setattr(writing, "identity_of", lambda folder: "0")
    run = make_talking_run(tmp_path / "run", kinds=["image"], max_position_embeddings=12)
    with pytest.raises(
        RunError, match=rf"^{re.escape(str(run.folder))}: a prompt with .* context 12: no room"
    ):
        writing.write(run, tmp_path / "out", [])
    assert not (tmp_path / "out").exists()
