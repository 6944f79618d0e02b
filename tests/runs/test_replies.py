"""Answers that grow together: as each is alone, and each ended by its own limits, texts and listeners."""

import pytest

from polymodal.data.media.path_access import NOWHERE
from polymodal.errors import RunError
from polymodal.runs.answering import decoding
from polymodal.runs.replies import Reply, fit_together, grow, usual_tokens
from tests.support.talks import user

QUESTIONS = ("flat or house?", "a garden, 3 rooms: flat or house?", "a quiet street")
LONG = {"min_new_tokens": 12}
"""So that an answer goes on behind the token that would end it."""


@pytest.fixture
def turn(spoken, spoken_houses):
    """A conversation, encoded; with the picture of a row, if its number is named."""

    def encoded(text, photo=None):
        items = {} if photo is None else {"image": str(spoken_houses / f"photos/{photo}.png")}
        return spoken.processor.encode(spoken.conversation([user(text, **items)]), reply=True)

    return encoded


@pytest.fixture
def greedy(spoken):
    """Options of ``generate`` as the run declares them, without the number of tokens; and ``more``."""

    def options(**more):
        chosen = decoding(spoken.generation.decoding, more)
        chosen.pop("max_new_tokens", None)
        return chosen

    return options


def test_each_is_the_answer_that_the_run_gives_alone(spoken, turn, greedy, spoken_houses):
    most = usual_tokens(spoken)
    pieces = [[] for _ in QUESTIONS]
    replies = [
        Reply(turn(text, photo=number + 1), most, receive=pieces[number].append)
        for number, text in enumerate(QUESTIONS)
    ]
    grow(spoken, replies, greedy())
    for number, (text, reply) in enumerate(zip(QUESTIONS, replies, strict=True)):
        asked = [user(text, image=str(spoken_houses / f"photos/{number + 1}.png"))]
        assert reply.text == "".join(pieces[number]) == spoken.chat(asked)
        assert reply.finish in ("stop", "length") and 0 < reply.tokens <= most
        assert reply.prompt_tokens == len(reply.turn.encoded.ids)


def test_each_ends_at_its_own_limit(spoken, turn, greedy):
    replies = [Reply(turn(text), most) for text, most in zip(QUESTIONS, (2, 9, 5), strict=True)]
    grow(spoken, replies, greedy(**LONG))
    assert [(reply.tokens, reply.finish) for reply in replies] == [(n, "length") for n in (2, 9, 5)]


def test_a_text_of_stop_ends_it_and_no_piece_holds_any_of_it(spoken, turn, greedy):
    whole = Reply(turn(QUESTIONS[0]), 12)
    grow(spoken, [whole], greedy(**LONG))
    stop = whole.text[2:5]
    assert len(stop) == 3
    pieces = []
    cut = Reply(turn(QUESTIONS[0]), 12, stop=("never written", stop), receive=pieces.append)
    beside = Reply(turn(QUESTIONS[0]), 12)
    grow(spoken, [cut, beside], greedy(**LONG))
    assert cut.text == "".join(pieces) == whole.text[: whole.text.index(stop)].strip()
    assert cut.finish == "stop" and cut.tokens < beside.tokens
    assert beside.text == whole.text


def test_whoever_leaves_ends_one_answer_and_no_other(spoken, turn, greedy):
    left = Reply(turn(QUESTIONS[0]), 12)
    left.receive = lambda piece: left.cancel()
    stays = Reply(turn(QUESTIONS[1]), 12)
    grow(spoken, [left, stays], greedy(**LONG))
    assert left.finish == "cancelled" and left.tokens < 12
    assert stays.finish == "length" and stays.tokens == 12


def test_a_beam_search_sends_its_answer_at_the_end(spoken, turn, greedy, spoken_houses):
    pieces = []
    replies = [Reply(turn(text), 5, receive=pieces.append) for text in QUESTIONS]
    grow(spoken, replies, greedy(beams=3))
    assert pieces == [reply.text for reply in replies if reply.text]
    assert replies[0].text == spoken.chat([user(QUESTIONS[0])], beams=3, max_new_tokens=5)


def test_a_seed_draws_the_same_tokens_and_another_draws_others(spoken, turn, greedy):
    def drawn(seed):
        replies = [Reply(turn(QUESTIONS[0]), 30)]
        grow(spoken, replies, greedy(sample=True, temperature=2.0, min_new_tokens=30), seed=seed)
        return replies[0].text

    assert drawn(1) == drawn(1)
    assert len({drawn(seed) for seed in range(4)}) > 1


def test_prompt_and_answer_share_the_context(spoken, turn):
    short, long = Reply(turn("why"), 8), Reply(turn("why " * 200), 8)
    assert fit_together(spoken, [short, long])
    short.most = spoken.context - short.prompt_tokens
    assert fit_together(spoken, [short]) and not fit_together(spoken, [short, long])


def test_options_that_the_model_cannot_take_are_a_line(spoken, turn):
    with pytest.raises(RunError, match="cannot generate"):
        grow(spoken, [Reply(turn("why"), 3)], {"no_such_option": 1})


def test_media_may_be_read_elsewhere(spoken, spoken_houses):
    path = spoken_houses / "photos/1.png"
    messages = [{"role": "user", "content": [{"type": "image", "image": path.read_bytes()}]}]
    conversation = spoken.conversation(messages)
    read = spoken.processor.encode(conversation, NOWHERE, reply=True)
    given = spoken.processor.encode(conversation, NOWHERE, reply=True, read=lambda media: read.kept[0])
    assert given.kept[0] is read.kept[0] and given.taken == read.taken
    assert given.encoded.ids.tolist() == read.encoded.ids.tolist()
