"""Rows through an export to Optimum's layout: each alone, and a damaged export is refused in one line."""

import pytest

from polymodal.data.chat.chat_processor import ConversationProcessor
from polymodal.data.chat.chat_tokenizer import train_language_tokenizer
from polymodal.data.chat.messages import USER, Message
from polymodal.errors import RunError
from polymodal.exporting.optimum.decoding import ExportedWords
from polymodal.verification.optimum_path import GreedySettings, answered, check_length, read_settings
from tests.support.counting_export import change, write_counting_export
from tests.support.llava_runs import TEXTS


@pytest.fixture(scope="module")
def processor():
    return ConversationProcessor({}, train_language_tokenizer(TEXTS, 400))


@pytest.fixture
def made(processor, tmp_path):
    """Writes an export with a context of so many tokens."""
    return lambda context: write_counting_export(tmp_path / "out", len(processor.tokenizer), context)


def prompt(processor, text):
    return processor.encode((Message(USER, (text,)),), reply=True)


def test_a_long_prompt_does_not_cut_the_answers_to_others_short(processor, made):
    short, long = prompt(processor, "What is it?"), prompt(processor, "a red circle " * 30)
    folder = made(len(long.encoded.ids) + 2)
    words, settings = ExportedWords(folder), read_settings(folder)
    (alone,) = answered(processor, words, [short], settings)
    beside, cut = answered(processor, words, [short, long], settings)
    last = int(short.encoded.ids[-1])
    assert beside == alone == processor.renderer.answer(range(last + 1, last + 13))
    last = int(long.encoded.ids[-1])
    assert cut == processor.renderer.answer([last + 1, last + 2])


def test_a_prompt_that_leaves_no_room_is_named(processor, made):
    turn = prompt(processor, "What is it?")
    length = len(turn.encoded.ids)
    folder = made(length)
    with pytest.raises(
        RunError, match=rf"{length} tokens, expected at most {length - 1} of its context\. Export"
    ):
        answered(processor, ExportedWords(folder), [turn], read_settings(folder))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "it is missing"),
        ("{", "no readable settings of decoding"),
        ("[]", "holds list, expected an object"),
        ('{"max_new_tokens": 8, "pad_token_id": 0}', "eos_token_id: field required"),
        ('{"max_new_tokens": 8, "eos_token_id": [0]}', "pad_token_id: field required"),
        ('{"max_new_tokens": "a", "eos_token_id": [0], "pad_token_id": 0}', "max_new_tokens: input"),
        ('{"max_new_tokens": 0, "eos_token_id": [0], "pad_token_id": 0}', "max_new_tokens: input should be"),
        ('{"max_new_tokens": 8, "eos_token_id": ["a"], "pad_token_id": 0}', r"eos_token_id\.0: input"),
    ],
)  # fmt: skip
def test_damaged_settings_are_refused_in_one_line(made, content, reason):
    folder = made(64)
    (folder / "generation_config.json").unlink()
    if content is not None:
        (folder / "generation_config.json").write_text(content)
    with pytest.raises(RunError, match=reason) as caught:
        read_settings(folder)
    assert "\n" not in str(caught.value) and str(caught.value).endswith("Export again")


def test_settings_are_read_and_decoding_that_is_not_greedy_is_named(made):
    folder = made(64)
    settings = read_settings(folder)
    assert isinstance(settings, GreedySettings) and settings.max_new_tokens == 12
    change(folder / "generation_config.json", num_beams=3)
    assert "num_beams is 3" in str(read_settings(folder))


@pytest.mark.parametrize(("own", "reason"), [(11, "that of its run 11"), (None, "that of its run none")])
def test_a_limit_beyond_that_of_the_run_is_refused_in_one_line(made, own, reason):
    folder = made(None)
    settings = read_settings(folder)
    check_length(folder, settings, 12)
    with pytest.raises(RunError, match=f"max_new_tokens is 12, and {reason}. Export again") as caught:
        check_length(folder, settings, own)
    assert "\n" not in str(caught.value)


def test_suppressed_tokens_that_the_graph_does_not_have_are_refused(processor, made):
    folder = made(64)
    change(folder / "generation_config.json", suppress_tokens=[10**6])
    with pytest.raises(RunError, match=r"its graphs do not answer a prompt \(.*Export again") as caught:
        answered(processor, ExportedWords(folder), [prompt(processor, "Is it?")], read_settings(folder))
    assert "\n" not in str(caught.value)
