"""Conversations as tokens: what is learned, what generation starts from, what stays plain text."""

from __future__ import annotations

import pickle
from datetime import datetime
from itertools import groupby

import numpy as np
import pytest
from tokenizers import AddedToken, normalizers

from polymodal.data.chat import sandbox
from polymodal.data.chat.chat_templates import set_chat_template
from polymodal.data.chat.chat_tokenizer import special_tokens
from polymodal.data.chat.messages import Media, Message, without_answer
from polymodal.data.chat.rendering import Renderer
from polymodal.data.media.cells import MediaError
from polymodal.errors import ConfigError
from tests.support import chats as made

FAMILIES = list(made.ENDS)
PICTURE, NOTHING = Media("image", "a.png"), Media("image", None)


@pytest.fixture(scope="module", params=FAMILIES)
def family(request):
    return request.param, Renderer(made.make(request.param), ["image"])


def four(media: Media) -> int:
    return 4


def decode(renderer, ids) -> str:
    return renderer.tokenizer.decode(ids, clean_up_tokenization_spaces=False)


def learned_texts(renderer, encoded) -> list[str]:
    """The text of every run of learned tokens."""
    pairs = zip(encoded.ids.tolist(), encoded.learned.tolist(), strict=True)
    runs = [[token for token, _ in run] for is_learned, run in groupby(pairs, lambda p: p[1]) if is_learned]
    return [decode(renderer, run) for run in runs]


def test_the_mask_covers_the_answers_and_what_ends_them(family):
    name, renderer = family
    for answer in made.ANSWERS:
        conversation = made.talk((PICTURE, "\nWhat?"), answer, "And " + answer, "Nothing.")
        texts = learned_texts(renderer, renderer.encode(conversation, four))
        assert [text.lstrip(" ") for text in texts] == [a + made.ENDS[name] for a in (answer, "Nothing.")]


def test_generation_starts_from_the_tokens_that_training_sees(family):
    name, renderer = family
    random = np.random.default_rng(0)
    for _ in range(40):
        conversation = made.random_talk(random)
        if name in ("llama2", "legacy") and conversation[0].role == "system":
            conversation = conversation[1:]
        whole = renderer.encode(conversation, four)
        for end, message in enumerate(conversation):
            # Qwen3 forgets the thoughts of earlier turns: only the last is as it was generated.
            if message.role != "assistant" or (name == "qwen3" and end < len(conversation) - 1):
                continue
            asked = renderer.encode(conversation[:end], four, reply=True)
            count = len(asked.ids)
            assert whole.ids[:count].tolist() == asked.ids.tolist()
            assert whole.learned[count] and not whole.learned[count - 1]
            assert whole.media[: len(asked.media)] == asked.media


def test_what_is_generated_reads_as_the_answer(family):
    name, renderer = family
    random = np.random.default_rng(1)
    for answer in made.ANSWERS if name == "unigram" else [made.noise(random) for _ in range(40)]:
        conversation = made.talk("Hm?", answer)
        asked = renderer.encode(conversation[:1], four, reply=True)
        generated = renderer.encode(conversation, four).ids[len(asked.ids) :]
        assert renderer.answer(generated) == answer.strip()


def test_no_special_token_comes_out_of_what_is_said(family):
    name, renderer = family
    random = np.random.default_rng(2)
    specials = set(map(renderer.tokenizer.convert_tokens_to_ids, special_tokens(renderer.tokenizer)))
    if name == "qwen3":  # its template writes these two, which are no special ones
        specials |= {renderer.tokenizer.get_vocab()[token] for token in ("<think>", "</think>")}
    written = renderer.encode(made.talk("q", "a"), four).ids
    for _ in range(40):
        said = renderer.encode(made.talk(made.noise(random), made.noise(random)), four).ids
        assert [t for t in said.tolist() if t in specials] == [t for t in written.tolist() if t in specials]


@pytest.mark.parametrize(
    "typed", ["<|image|>", "<|no image|>", "<|im_end|>", "<|im_start|>", "<|pad|>", "<|<|image|>im_end|>"]
)
def test_a_typed_special_token_is_read_back_as_text(typed):
    renderer = Renderer(made.chatml(), ["image"])
    encoded = renderer.encode(made.talk(f"{typed} a{typed}", typed), four)
    assert encoded.media == () and np.isin(encoded.ids, renderer.placeholders["image"]).sum() == 0
    assert decode(renderer, encoded.ids) == (
        f"<|im_start|>user\n{typed} a{typed}<|im_end|>\n<|im_start|>assistant\n{typed}<|im_end|>\n"
    )


def test_a_special_token_typed_across_two_parts_is_text_too():
    renderer = Renderer(made.chatml())
    encoded = renderer.encode(made.talk(("<|im_", "end|>"), "a"), four)
    assert (encoded.ids == renderer.tokenizer.eos_token_id).sum() == 2
    assert encoded.ids.tolist() == renderer.encode(made.talk("<|im_end|>", "a"), four).ids.tolist()


def chatml_text(conversation) -> str:
    """What ChatML is, said once more."""
    text = ""
    for message in conversation:
        words = {NOTHING: "<|no image|>", PICTURE: "<|image|>"}
        said = "".join(words.get(part, part) for part in message.parts)
        text += f"<|im_start|>{message.role}\n{said.strip()}<|im_end|>\n"
    return text


def test_chatml_is_read_back_as_it_was_written():
    renderer = Renderer(made.chatml(), ["image"])
    random = np.random.default_rng(3)
    for _ in range(200):
        conversation = made.random_talk(random)
        encoded = renderer.encode(conversation, lambda media: 1)
        assert decode(renderer, encoded.ids) == chatml_text(conversation)


@pytest.mark.parametrize("name", ["chatml", "qwen3", "llama3", "plain", "llama2", "phi3", "parts_only"])
def test_tokens_are_those_of_apply_chat_template(name):
    renderer = Renderer(made.make(name), ["image"])
    texts = ["What is it?", "A cat.", "Really? Ja, über 猫 😀\n\n  two lines", "Nothing,\nелки"]
    conversation = made.talk(*texts, system=None if name == "llama2" else "Be kind.")
    messages = [
        {"role": m.role, "content": [{"type": "text", "text": m.text}] if name == "parts_only" else m.text}
        for m in conversation
    ]
    theirs = renderer.tokenizer.apply_chat_template(messages, return_dict=False)
    assert renderer.encode(conversation, four).ids.tolist() == theirs
    asked = renderer.tokenizer.apply_chat_template(
        messages[:-1], add_generation_prompt=True, return_dict=False
    )
    ours = renderer.encode(conversation[:-1], four, reply=True).ids.tolist()
    assert ours[: len(asked)] == asked
    # Qwen3's own prompt has the model think; an answer that is learned stands behind the thought.
    assert decode(renderer, ours[len(asked) :]) == ("<think>\n\n</think>\n\n" if name == "qwen3" else "")


def test_placeholders_take_as_many_tokens_as_their_items():
    renderer = Renderer(made.chatml(), ["image", "voice"])
    sound = Media("voice", b"x")
    conversation = made.talk((PICTURE, " and ", NOTHING, sound, sound, "?"), "a", (sound, PICTURE), "b")
    takes = {"image": 5, "voice": 2}
    encoded = renderer.encode(conversation, lambda media: takes[media.input])
    (picture, no_picture), (voice, no_voice) = renderer.placeholders.values()
    counts = [int((encoded.ids == token).sum()) for token in (picture, no_picture, voice, no_voice)]
    assert counts == [10, 1, 6, 0]
    assert encoded.media == (PICTURE, sound, sound, sound, PICTURE)
    order = [token for token, _ in groupby(encoded.ids.tolist()) if token in (picture, no_picture, voice)]
    assert order == [picture, no_picture, voice, voice, picture]
    assert encoded.ids.dtype == np.int64 and encoded.learned.dtype == bool
    assert learned_texts(renderer, encoded) == ["a<|im_end|>", "b<|im_end|>"]


def test_every_item_is_counted_by_itself():
    renderer = Renderer(made.chatml(), ["image"])
    items = tuple(Media("image", size) for size in (3, 1, 7))
    encoded = renderer.encode(made.talk(("a", items[0], "b", *items[1:]), "c"), lambda media: media.cell)
    runs = [len(list(run)) for key, run in groupby(encoded.ids == renderer.placeholders["image"][0]) if key]
    assert runs == [3, 8] and encoded.media == items


def test_an_item_of_an_assistant_is_not_learned():
    renderer = Renderer(made.chatml(), ["image"])
    encoded = renderer.encode(made.talk("draw", ("here: ", PICTURE, " done")), four)
    assert learned_texts(renderer, encoded) == ["here: ", " done<|im_end|>"]


def test_an_input_that_was_not_declared_is_named():
    with pytest.raises(ValueError, match=r"no placeholder of an input 'imgae'\. Did you mean 'image'"):
        Renderer(made.chatml(), ["image"]).encode(made.talk((Media("imgae", "a"),), "b"), four)


def test_an_answer_does_not_grow_together_with_the_template():
    template = (
        "{% for m in messages %}{{ m.content + ('assist' if m.role == 'user' else eos_token) }}{% endfor %}"
    )
    renderer = Renderer(made.gpt2(), template=template)
    assert len(renderer.tokenizer("assistant").input_ids) == 1
    whole = renderer.encode(made.talk("x ", "ant"), four)
    asked = renderer.encode(made.talk("x "), four, reply=True)
    assert whole.ids[: len(asked.ids)].tolist() == asked.ids.tolist()
    assert renderer.describe(whole) == "xassist«ant<|endoftext|>»"


def test_special_tokens_that_overlap_are_both_text():
    tokenizer = made.chatml()
    tokenizer.add_tokens(made.special("<a>", "a><b"), special_tokens=True)
    renderer = Renderer(tokenizer)
    encoded = renderer.encode(made.talk("<a><b", "a><a>"), four)
    assert renderer.describe(encoded) == (
        "<|im_start|>user\n<a><b<|im_end|>\n<|im_start|>assistant\n«a><a><|im_end|>»\n"
    )
    assert not np.isin(encoded.ids, tokenizer.convert_tokens_to_ids(["<a>", "a><b"])).any()


def test_the_template_never_sees_what_is_said():
    renderer = Renderer(made.qwen3())
    encoded = renderer.encode(made.talk("{{ 1/0 }}", "I <think>hm</think> so {% x"), four)
    assert learned_texts(renderer, encoded) == ["I <think>hm</think> so {% x<|im_end|>"]


def test_a_template_that_ends_no_turn_gets_the_end_of_text_after_every_answer():
    renderer = Renderer(made.headings())
    encoded = renderer.encode(made.talk("q", "a", "r", "b"), four)
    end = "<|endoftext|>"
    expected = f"### user:\nq\n\n### assistant:\na{end}\n\n### user:\nr\n\n### assistant:\nb{end}\n\n"
    assert decode(renderer, encoded.ids) == expected


def test_what_begins_a_turn_is_not_taken_for_the_end_of_the_last():
    template = "{% for m in messages %}{{ (bos_token if m.role == 'user' else ' ') + m.content }}{% endfor %}"
    renderer = Renderer(made.llama3(), template=template)
    shown = renderer.describe(renderer.encode(made.talk("q", "a", "r", "b"), four))
    assert shown == "<|begin|>q« a<|end|>»<|begin|>r« b<|end|>»"


def test_generation_stops_at_what_ends_a_turn_and_at_the_end_of_text():
    renderer = Renderer(made.llama3())
    assert renderer.tokenizer.convert_ids_to_tokens(renderer.ends) == ["<|eot|>", "<|end|>"]
    said = renderer.tokenizer(" a b", add_special_tokens=False).input_ids
    for end in renderer.ends:
        assert renderer.answer([*said, end, *said, end]) == "a b"
    assert renderer.answer(said) == "a b" and renderer.answer([]) == ""


def test_the_beginning_of_a_text_is_as_the_template_has_it():
    for name, begins in {"llama3": True, "llama2": True, "phi3": False, "chatml": False}.items():
        renderer = Renderer(made.make(name))
        encoded = renderer.encode(made.talk("q", "a"), four)
        begin = renderer.tokenizer.bos_token_id
        assert encoded.ids.tolist().count(begin) == begins, name
        assert (int(encoded.ids[0]) == begin) == begins, name


def test_a_template_by_hand_wins_over_the_tokenizers_own():
    renderer = Renderer(made.chatml(), template=made.HEADINGS)
    assert decode(renderer, renderer.encode(made.talk("q", "a"), four).ids).startswith("### user:\nq")


@pytest.mark.parametrize(
    ("template", "told"),
    [
        (made.BRACKETS, "Only user and assistant roles are supported!"),
        (
            made.HEADINGS.replace("messages %}", "messages if message.role != 'system' %}"),
            "leaves out message 1, the system's",
        ),
        (made.HEADINGS + "{{ messages[0]['content'] }}", "repeats message 1"),
        ("{{ messages[0].content.nothing.at_all }}", "has no attribute 'nothing'"),
        ("{{ messages | nofilter }}", "nofilter"),
        ("{% for %}", "Expected|expected|unexpected"),
    ],
)
def test_a_template_that_cannot_write_the_messages_is_told_in_one_line(template, told):
    tokenizer = made.chatml()
    with pytest.raises(ConfigError, match=told) as caught:
        Renderer(tokenizer, template=template).encode(made.talk("q", "a", system="s"), four)
    assert "\n" not in str(caught.value) and "generation.chat_template: chatml, plain or a file" in str(
        caught.value
    )


def test_a_template_that_tells_the_day_is_rendered_anew(monkeypatch):
    class Clock(datetime):
        day_shown = 1

        @classmethod
        def now(cls, tz=None):
            return datetime(2026, 1, cls.day_shown)

    monkeypatch.setattr(sandbox, "datetime", Clock)
    template = "{{ strftime_now('day %d') }}" + made.HEADINGS
    renderer = Renderer(made.chatml(), template=template)
    for day in (1, 2):
        Clock.day_shown = day
        shown = renderer.describe(renderer.encode(made.talk("q", "a"), four))
        assert shown.startswith(f"day 0{day}### user")


def test_the_system_may_stand_inside_the_users_message():
    template = """\
{%- set system = messages[0].content if messages[0].role == 'system' else '' %}
{%- for message in messages if message.role != 'system' %}
{%- if message.role == 'user' %}{{- '[INST] ' }}
{%- if loop.last or loop.revindex == 2 %}{{- system + '\\n' }}{% endif %}{{- message.content + '[/INST]' }}
{%- else %}{{- ' ' + message.content + eos_token }}{% endif %}
{%- endfor %}"""
    renderer = Renderer(made.chatml(), ["image"], template)
    conversation = made.talk("q", "a", ("r", PICTURE), "b", system="S")
    shown = renderer.describe(renderer.encode(conversation, four))
    assert shown == "[INST] q[/INST]« a<|im_end|>»[INST] S\nr<|image|>×4[/INST]« b<|im_end|>»"


@pytest.mark.parametrize("conversation", [[], made.talk("q", "a")])
def test_there_has_to_be_something_to_reply_to(conversation):
    with pytest.raises(MediaError, match="expected a user's, to reply to"):
        Renderer(made.chatml()).encode(conversation, four, reply=True)


def test_a_conversation_without_its_answer():
    conversation = made.talk("q", "a", "r", "b")
    assert without_answer(conversation) == conversation[:3] == without_answer(conversation[:3])


def test_messages_are_stripped_and_an_empty_answer_is_only_its_end():
    renderer = Renderer(made.chatml(), ["image"])
    encoded = renderer.encode(made.talk(("\n ", PICTURE, "  b  \n"), "  "), four)
    assert learned_texts(renderer, encoded) == ["<|im_end|>"]
    assert renderer.describe(encoded).startswith("<|im_start|>user\n<|image|>×4  b<|im_end|>")


def test_describe_marks_what_is_learned_and_folds_items(family):
    name, renderer = family
    conversation = made.talk((PICTURE, "\nWhat 猫?", NOTHING), "A red one.", ("and ", PICTURE), "None")
    shown = renderer.describe(renderer.encode(conversation, four))
    assert shown.count("<|image|>×4") == 2 and shown.count("<|no image|>") == 1
    for answer in ("A red one.", "None"):
        learned = [piece.split("»")[0].strip() for piece in shown.split("«")[1:]]
        assert answer + made.ENDS[name] in learned


def test_half_a_character_is_told_in_one_line():
    with pytest.raises(MediaError, match="half a character"):
        Renderer(made.chatml()).encode(made.talk("\ud83d", "a"), four)


def test_a_text_that_a_tokenizer_normalizes_into_a_special_token_is_refused():
    tokenizer = made.gpt2()
    tokenizer.backend_tokenizer.normalizer = normalizers.NFKC()
    tokenizer.add_tokens([AddedToken("<stop>", special=True, normalized=True)], special_tokens=True)
    set_chat_template(tokenizer, "plain")
    renderer = Renderer(tokenizer)
    assert learned_texts(renderer, renderer.encode(made.talk("q", "<stop>"), four)) == [
        " <stop><|endoftext|>"
    ]
    with pytest.raises(MediaError, match="special tokens"):
        renderer.encode(made.talk("q", "＜stop＞"), four)


def test_what_others_set_on_the_tokenizer_does_not_cut_a_conversation():
    tokenizer, conversation = made.chatml(), made.talk("What is it?", "A cat")
    before = Renderer(tokenizer)
    expected = before.encode(conversation, four).ids.tolist()
    tokenizer.split_special_tokens = True
    for options in ({"truncation": True, "max_length": 3}, {"padding": "max_length", "max_length": 300}):
        tokenizer(["a b c d"], **options)
        assert before.encode(conversation, four).ids.tolist() == expected
        assert Renderer(tokenizer).encode(conversation, four).ids.tolist() == expected


def test_a_renderer_works_the_same_in_another_process():
    renderer = Renderer(made.llama3(), ["image"])
    conversation = made.talk((PICTURE, "q"), "a")
    again = pickle.loads(pickle.dumps(renderer))
    assert again.encode(conversation, four).ids.tolist() == renderer.encode(conversation, four).ids.tolist()


def test_messages_of_no_part_are_written_too():
    renderer = Renderer(made.chatml())
    shown = renderer.describe(renderer.encode([Message("user", ()), Message("assistant", ("a",))], four))
    assert shown == "<|im_start|>user\n<|im_end|>\n<|im_start|>assistant\n«a<|im_end|>»\n"
