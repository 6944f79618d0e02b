"""Built-in chat templates for language models without one: ``chatml`` and ``plain``, in Jinja."""

from __future__ import annotations

from pathlib import Path

from tokenizers import AddedToken
from transformers import PreTrainedTokenizerBase

from polymodal.errors import ConfigError, did_you_mean

TURN_START, TURN_END = "<|im_start|>", "<|im_end|>"
_TEXT = """\
{%- if message['content'] is not string %}{{ raise_exception('content has to be a text') }}{% endif %}
{%- set content = message['content'] | trim %}
"""
CHATML = (
    "{%- for message in messages %}\n" + _TEXT + """\
{{- '<|im_start|>' + message['role'] + '\\n' + content + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{% endif %}"""
)  # fmt: skip
"""ChatML, as in Qwen and many others."""
PLAIN = (
    "{%- for message in messages %}\n" + _TEXT + """\
{%- if message['role'] == 'system' %}{{- content + '\\n\\n' }}
{%- elif message['role'] == 'user' %}{{- 'User: ' + content + '\\n' }}
{%- else %}{{- 'Assistant: ' + content + eos_token + '\\n' }}{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- 'Assistant:' }}{% endif %}"""
)  # fmt: skip
"""Plain text, for a language model whose vocabulary must not change."""
CHAT_TEMPLATES = {"chatml": CHATML, "plain": PLAIN}


def set_chat_template(tokenizer: PreTrainedTokenizerBase, chosen: str) -> None:
    """Set a tokenizer's chat template: a built-in one by name, or the one in a file.

    ``chatml`` adds its two tokens if they are missing, and uses the second as the end of text if there is
    none. Both write the beginning-of-text token if the tokenizer does.

    Raises:
        ConfigError: If there is neither such a name nor such a file.
    """
    if chosen in CHAT_TEMPLATES:
        begin = "{{- bos_token }}" if _adds_beginning(tokenizer) else ""
        if chosen == "chatml":
            marks = [AddedToken(mark, special=True, normalized=False) for mark in (TURN_START, TURN_END)]
            tokenizer.add_tokens(marks, special_tokens=True)
            if tokenizer.eos_token is None:
                tokenizer.eos_token = TURN_END
        tokenizer.chat_template = begin + CHAT_TEMPLATES[chosen]
        return
    try:
        tokenizer.chat_template = Path(chosen).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        fix = f"{did_you_mean(chosen, CHAT_TEMPLATES)}; or give a file of Jinja"
        raise ConfigError(f"generation.chat_template: no template '{chosen}' ({reason}). {fix}") from None


def _adds_beginning(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the tokenizer writes the token that begins a text before every text."""
    begin = tokenizer.bos_token_id
    return begin is not None and begin in tokenizer("a").input_ids[:1]
