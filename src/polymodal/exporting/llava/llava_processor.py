"""Tokenizer and image processor → ``LlavaProcessor``, whose chat template writes what the run itself does."""

from __future__ import annotations

import copy
import json
import re
from contextlib import suppress
from itertools import product
from typing import Any, cast

import jinja2
from tokenizers import processors
from transformers import LlavaConfig, LlavaProcessor
from transformers import PreTrainedTokenizerBase as Tokenizer

from polymodal.data.chat.messages import ASSISTANT, USER
from polymodal.data.chat.skeletons import Mark, Skeletons
from polymodal.errors import ConfigError, RunError
from polymodal.exporting.llava.expressible import TOWERS

PARTS = """\
{%- set llava = namespace(messages=[], text='', picture=false) %}
{%- for message in messages %}
{%- set llava.text = '' %}
{%- set llava.picture = false %}
{%- if message['content'] is string %}
{%- set llava.text = message['content'] %}
{%- elif message['content'] %}
{%- for part in message['content'] %}
{%- if part['type'] in ['image', 'image_url'] %}
{%- if llava.text[-1:] | trim %}{% set llava.text = llava.text + BETWEEN %}{% endif %}
{%- set llava.text = llava.text + PLACEHOLDER %}
{%- set llava.picture = true %}
{%- elif part['type'] != 'text' %}
{{- raise_exception('this model reads texts and pictures, no ' + part['type']) }}
{%- elif part['text'] %}
{%- if llava.picture and part['text'][:1] | trim %}{% set llava.text = llava.text + BETWEEN %}{% endif %}
{%- set llava.text = llava.text + part['text'] %}
{%- set llava.picture = false %}
{%- endif %}
{%- endfor %}
{%- endif %}
{%- set llava.messages = llava.messages + [dict(message, content=CONTENT)] %}
{%- endfor %}
{%- set messages = llava.messages %}"""
"""Makes a text of each message's parts, before a chat template that knows no pictures is given them."""
_VALUES = re.compile("(BETWEEN|PLACEHOLDER|CONTENT)")
SAID = "(llava.text | trim) + (ENDED if message['role'] == 'assistant' else '')"
CONTENTS = (SAID, "[{'type': 'text', 'text': SAID}]".replace("SAID", SAID))
"""What the chat template is given: texts, or lists of parts, which some read alone."""
KEEP = "{{- '' }}"
"""Stands where a line break behind it is to stay, which Jinja takes away behind a block."""
ASK = "{%- set llava_asked = add_generation_prompt %}{%- set add_generation_prompt = false %}"
ASKED = "{%- if llava_asked %}{{- LEAD }}{%- endif %}"
TURNS = ((USER,), (USER, ASSISTANT, USER))
"""For which a chat template is compared with what the run writes."""
FIRST = 0xE000
"""Characters for private use, from here on, stand for messages: no template writes any."""


def reading_parts(
    tokenizer: Tokenizer, image_processor: Any, placeholder: str, config: LlavaConfig, between: str
) -> LlavaProcessor:
    """The processor, of copies.

    Args:
        tokenizer: With a chat template that writes texts.
        image_processor: Of the picture encoder.
        placeholder: The token of a picture.
        config: Of the model.
        between: What stands between a picture and its neighbour.

    Raises:
        RunError: If the chat template cannot be made to write pictures.
    """
    words, vision = copy.deepcopy(tokenizer), cast(Any, config.vision_config)
    words.chat_template = chat_template(tokenizer, placeholder, between)
    words.padding_side = words.init_kwargs["padding_side"] = "left"  # as whoever generates needs it
    _add_nothing(words)
    return LlavaProcessor(
        image_processor=copy.deepcopy(image_processor),
        tokenizer=words,
        patch_size=vision.patch_size,
        vision_feature_select_strategy=config.vision_feature_select_strategy,
        chat_template=words.chat_template,
        image_token=placeholder,
        num_additional_image_tokens=TOWERS[vision.model_type].additional,
    )


def chat_template(tokenizer: Tokenizer, placeholder: str, between: str) -> str:
    """A chat template of messages with pictures, around the tokenizer's own.

    Raises:
        RunError: If its own cannot be made to write what the run does.
    """
    source, expected = tokenizer.get_chat_template(), _expected(tokenizer)
    fixed = {"BETWEEN": _literal(between), "PLACEHOLDER": _literal(placeholder)}
    # The run ends answers by itself where the template does not.
    for content, end in product(CONTENTS, ("", tokenizer.eos_token or "")):
        values = fixed | {"CONTENT": content.replace("ENDED", _literal(end))}
        pieces = _VALUES.split(PARTS)  # the names of the values are every other piece
        whole = "".join(values.get(piece, piece) for piece in pieces) + KEEP + source
        for candidate in (whole, _led(tokenizer, whole, expected[(USER,)])):
            if all(_written(tokenizer, candidate, roles) == text for roles, text in expected.items()):
                return candidate
    raise RunError("the chat template cannot write pictures. Fit with generation.chat_template=chatml")


def _expected(tokenizer: Tokenizer) -> dict[tuple[str, ...], str]:
    """What the run writes where an answer is asked for, by the roles of the messages."""
    skeletons = Skeletons(tokenizer)
    expected: dict[tuple[str, ...], str] = {}
    for roles in TURNS:
        with suppress(ConfigError):  # some templates know one turn alone
            pieces = [piece for piece in skeletons.of(roles, True).pieces if not isinstance(piece, Mark)]
            expected[roles] = "".join(
                chr(FIRST + piece) if isinstance(piece, int) else piece for piece in pieces
            )
    return expected


def _led(tokenizer: Tokenizer, template: str, asked: str) -> str:
    """A template that starts an answer as the run does, which may have it follow an empty thought."""
    lead = asked.removeprefix(str(_written(tokenizer, template, (USER,), ask=False)))
    return ASK + template + ASKED.replace("LEAD", _literal(lead))


def _written(
    tokenizer: Tokenizer, template: str, roles: tuple[str, ...] = (USER,), *, ask: bool = True
) -> str | None:
    """What a template makes of messages, or None where it fails."""
    messages = [{"role": role, "content": chr(FIRST + place)} for place, role in enumerate(roles)]
    try:
        return str(
            tokenizer.apply_chat_template(
                messages, chat_template=template, tokenize=False, add_generation_prompt=ask
            )
        )
    except (jinja2.TemplateError, TypeError, ValueError, LookupError, AttributeError):
        return None


def _literal(text: str) -> str:
    """``text`` as Jinja writes it."""
    return json.dumps(text, ensure_ascii=False)


def _add_nothing(tokenizer: Tokenizer) -> None:
    """Let the chat template alone write the tokens around a text, where it does not write the first itself.

    A processor takes a conversation for a text, to whose ends a tokenizer may add tokens of its own.
    """
    start = tokenizer.bos_token
    written = str(_written(tokenizer, tokenizer.get_chat_template()))
    adds = tokenizer("a").input_ids != tokenizer("a", add_special_tokens=False).input_ids
    if not adds or (start and written.startswith(start)):
        return
    for name in ("add_bos_token", "add_eos_token"):
        if getattr(tokenizer, name, False):
            setattr(tokenizer, name, False)
    cast(Any, tokenizer).backend_tokenizer.post_processor = processors.Sequence([])
