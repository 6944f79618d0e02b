"""A talk: what was said is kept, what is attached goes with the next message, mistakes change nothing."""

import pytest

from polymodal.errors import PolymodalError, RunError
from polymodal.runs.talking import Talk


@pytest.fixture
def talk(spoken):
    return Talk(spoken, max_new_tokens=4)


def test_each_answer_is_to_all_that_was_said(talk, spoken):
    first = "".join(talk.say("flat?")).strip()
    second = "".join(talk.say("or house?")).strip()
    expected = [{"role": "user", "content": "flat?"}, {"role": "assistant", "content": first or "…"},
                {"role": "user", "content": "or house?"}]  # fmt: skip
    assert talk.messages == [*expected, {"role": "assistant", "content": second or "…"}]
    assert spoken.chat(expected, max_new_tokens=4) == second
    talk.reset()
    assert talk.messages == []


def test_what_is_attached_stands_before_the_next_message_and_no_other(talk, spoken_houses):
    for number in (0, 1):
        talk.attach("image", str(spoken_houses / f"photos/{number}.png"))
    list(talk.say("these?"))
    list(talk.say("sure?"))
    kinds = [part["type"] for part in talk.messages[0]["content"]]
    assert kinds == ["image", "image", "text"] and talk.messages[2]["content"] == "sure?"


@pytest.mark.parametrize(
    ("kind", "path", "said"),
    [
        ("audio", "a.wav", r"reads no audio\. There are: image"),
        ("image", "", "/image takes the path of a file"),
        ("image", "none.png", r"none\.png does not exist"),
        ("image", "houses.csv", r"houses\.csv"),
    ],
)
def test_what_cannot_be_attached_changes_nothing(talk, spoken_houses, monkeypatch, kind, path, said):
    monkeypatch.chdir(spoken_houses)
    with pytest.raises(PolymodalError, match=said):
        talk.attach(kind, path)
    assert talk.attached == [] and talk.messages == []


def test_a_message_that_fits_no_context_changes_nothing(talk, spoken_houses):
    list(talk.say("flat?"))
    talk.attach("image", str(spoken_houses / "photos/0.png"))
    before, attached = list(talk.messages), list(talk.attached)
    with pytest.raises(PolymodalError, match="Begin anew, or say less"):
        list(talk.say("x" * 5000))
    assert talk.messages == before and talk.attached == attached


def test_a_stopped_answer_is_kept_as_far_as_it_came(talk):
    talk.options["max_new_tokens"] = talk.options["min_new_tokens"] = 400
    pieces = talk.say("flat?")
    first = next(pieces)
    pieces.close()
    assert talk.messages[-1] == {"role": "assistant", "content": first.strip() or "…"}
    list(talk.say("go on"))  # which its words may follow


def test_a_system_text_stands_first_and_stays(spoken):
    talk = Talk(spoken, system="Be brief.", max_new_tokens=2)
    list(talk.say("flat?"))
    assert talk.messages[0] == {"role": "system", "content": "Be brief."}
    talk.reset()
    assert talk.messages == [{"role": "system", "content": "Be brief."}]


def test_a_run_without_files_takes_none(spoken, monkeypatch):
    monkeypatch.setattr(spoken.declaration, "inputs", {})
    with pytest.raises(RunError, match=r"reads no image\. It reads text alone"):
        Talk(spoken).attach("image", "a.png")
