"""``LlavaProcessor`` from tokenizer and image processor, with a chat template that equals the run's."""

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
"""Joins the parts of each message to a text, for a chat template without images."""
_VALUES = re.compile("(BETWEEN|PLACEHOLDER|CONTENT)")
CONTENT_TEXT = "(llava.text | trim) + (ENDED if message['role'] == 'assistant' else '')"
CONTENTS = (CONTENT_TEXT, f"[{{'type': 'text', 'text': {CONTENT_TEXT}}}]")
"""The contents for the chat template: texts, or lists of parts, which some need."""
KEEP = "{{- '' }}"
"""Keeps the line break after it, which Jinja removes after a block."""
ASK = "{%- set llava_prompt = add_generation_prompt %}{%- set add_generation_prompt = false %}"
ASKED = "{%- if llava_prompt %}{{- LEAD }}{%- endif %}"
TURNS = ((USER,), (USER, ASSISTANT, USER))
"""Conversations for which a chat template is compared with the run's."""
FIRST = 0xE000
"""Private-use characters from here on mark messages: no template writes any."""


def reading_parts(
    tokenizer: Tokenizer, image_processor: Any, placeholder: str, config: LlavaConfig, between: str
) -> LlavaProcessor:
    """Build the processor from copies.

    Args:
        tokenizer: The tokenizer, with a chat template for texts.
        image_processor: The image processor.
        placeholder: The token of an image.
        config: The model's configuration.
        between: Text between an image and its neighbour.

    Raises:
        RunError: If the chat template cannot be extended to images.
    """
    words, vision = copy.deepcopy(tokenizer), cast(Any, config.vision_config)
    words.chat_template = chat_template(tokenizer, placeholder, between)
    words.padding_side = words.init_kwargs["padding_side"] = "left"  # for generation
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
    """A chat template of messages with images, around the tokenizer's own.

    Raises:
        RunError: If it cannot be extended to write what the run does.
    """
    source, expected = tokenizer.get_chat_template(), _expected(tokenizer)
    fixed = {"BETWEEN": _literal(between), "PLACEHOLDER": _literal(placeholder)}
    # The run appends the end of an answer where the template does not.
    for content, end in product(CONTENTS, ("", tokenizer.eos_token or "")):
        values = fixed | {"CONTENT": content.replace("ENDED", _literal(end))}
        pieces = _VALUES.split(PARTS)  # the names of the values are every other piece
        whole = "".join(values.get(piece, piece) for piece in pieces) + KEEP + source
        for candidate in (whole, _led(tokenizer, whole, expected[(USER,)])):
            if all(_written(tokenizer, candidate, roles) == text for roles, text in expected.items()):
                return candidate
    raise RunError("the chat template cannot write pictures. Fit with generation.chat_template=chatml")


def _expected(tokenizer: Tokenizer) -> dict[tuple[str, ...], str]:
    """The run's prompt, by the roles of the messages."""
    skeletons = Skeletons(tokenizer)
    expected: dict[tuple[str, ...], str] = {}
    for roles in TURNS:
        with suppress(ConfigError):  # some templates allow one turn only
            pieces = [piece for piece in skeletons.of(roles, True).pieces if not isinstance(piece, Mark)]
            expected[roles] = "".join(
                chr(FIRST + piece) if isinstance(piece, int) else piece for piece in pieces
            )
    return expected


def _led(tokenizer: Tokenizer, template: str, prompt: str) -> str:
    """A template that starts an answer as the run does, which may have it follow an empty thought."""
    lead = prompt.removeprefix(str(_written(tokenizer, template, (USER,), ask=False)))
    return ASK + template + ASKED.replace("LEAD", _literal(lead))


def _written(
    tokenizer: Tokenizer, template: str, roles: tuple[str, ...] = (USER,), *, ask: bool = True
) -> str | None:
    """The output of a template for messages, or None if it fails."""
    messages = [{"role": role, "content": chr(FIRST + index)} for index, role in enumerate(roles)]
    try:
        return str(
            tokenizer.apply_chat_template(
                messages, chat_template=template, tokenize=False, add_generation_prompt=ask
            )
        )
    except (jinja2.TemplateError, TypeError, ValueError, LookupError, AttributeError):
        return None


def _literal(text: str) -> str:
    """``text`` as a Jinja literal."""
    return json.dumps(text, ensure_ascii=False)


def _add_nothing(tokenizer: Tokenizer) -> None:
    """Stop the tokenizer from adding tokens around a text, which is the chat template's part.

    A processor tokenizes a conversation as a text, to whose ends a tokenizer may add tokens.
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
