"""Small tokenizers of every family with chat templates of the usual forms, and conversations to write."""

from __future__ import annotations

import numpy as np
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from polymodal.data.chat.chat_templates import set_chat_template
from polymodal.data.chat.chat_tokenizer import train_language_tokenizer
from polymodal.data.chat.messages import Media, Message

TEXTS = [
    "What is in the picture? A red circle and two blue squares.",
    "Und was hörst du? Eine Möwe, über dem Meer.",
    "那是什么?一只猫坐在垫子上。",
    "О чём он говорит? О погоде. 😀👩‍🚀",
    "assistant user system <|im_start|> </s> [INST] Assistant: User:",
] * 4

ANSWERS = ["A red circle.", "Eine Möwe 😀", "一只猫", "О погоде", "2", "*", "é\n\nb", "user: no"]

HEADERS = """\
{{- bos_token }}
{%- for message in messages %}
{{- '<|head|>' + message['role'] + '<|/head|>\\n\\n' + message['content'] | trim + '<|eot|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|head|>assistant<|/head|>\\n\\n' }}{% endif %}"""
"""As Llama 3 has it."""

THINKING = """\
{%- set last = namespace(asked=0) %}
{%- for message in messages if message.role == 'user' %}
{%- set last.asked = messages.index(message) %}
{%- endfor %}
{%- for message in messages %}
{{- '<|im_start|>' + message.role + '\\n' }}
{%- if message.role == 'assistant' and loop.index0 > last.asked %}
{%- set thought, said = '', message.content %}
{%- if '</think>' in said %}
{%- set thought = said.split('</think>')[0] %}{% set said = said.split('</think>')[1] %}
{%- endif %}
{{- '<think>\\n' + thought + '\\n</think>\\n\\n' + said.lstrip('\\n') }}
{%- else %}{{- message.content }}{% endif %}
{{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{% endif %}"""
"""As Qwen3 has it: the last answer follows a thought, here an empty one."""

BRACKETS = """\
{{- bos_token }}
{%- for message in messages %}
{%- if message['role'] == 'system' %}{{ raise_exception('Only user and assistant roles are supported!') }}
{%- elif message['role'] == 'user' %}{{- '[INST] ' + message['content'] + ' [/INST]' }}
{%- else %}{{- ' ' + message['content'] + ' ' + eos_token }}{% endif %}
{%- endfor %}"""
"""As Llama 2 and Mistral have it."""

ROLES = """\
{%- for message in messages %}
{{- '<|' + message['role'] + '|>\\n' + message['content'] + '<|end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|assistant|>\\n' }}{% endif %}"""
"""As Phi-3 has it, whose special tokens take the white space after them along."""

HEADINGS = """\
{%- for message in messages %}
{{- '### ' + message['role'] + ':\\n' + message['content'] + '\\n\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '### assistant:\\n' }}{% endif %}"""
"""As Alpaca has it: no special token at all."""

PARTS = """\
{%- for message in messages %}
{{- '<|im_start|>' + message['role'] + '\\n' }}
{%- for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}
{{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{% endif %}"""
"""As templates for pictures have it that read lists of parts alone."""


def special(*names: str, **options) -> list[AddedToken]:
    return [AddedToken(name, special=True, normalized=False, **options) for name in names]


def chatml() -> PreTrainedTokenizerFast:
    return train_language_tokenizer(TEXTS, 420)


def gpt2() -> PreTrainedTokenizerFast:
    """Byte-level, one special token for everything, no padding, no template."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=420, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator(TEXTS, trainer)
    token = "<|endoftext|>"
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token=token, eos_token=token)


def plain() -> PreTrainedTokenizerFast:
    tokenizer = gpt2()
    set_chat_template(tokenizer, "plain")
    return tokenizer


def headings() -> PreTrainedTokenizerFast:
    tokenizer = gpt2()
    tokenizer.chat_template = HEADINGS
    return tokenizer


def llama3() -> PreTrainedTokenizerFast:
    backend = gpt2().backend_tokenizer
    tokens = special("<|begin|>", "<|head|>", "<|/head|>", "<|eot|>", "<|end|>")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<|begin|>", eos_token="<|end|>")
    tokenizer.add_tokens(tokens, special_tokens=True)
    tokenizer.chat_template = HEADERS
    return tokenizer


def qwen3() -> PreTrainedTokenizerFast:
    tokenizer = chatml()
    tokenizer.add_tokens([AddedToken(name, normalized=False) for name in ("<think>", "</think>")])
    tokenizer.chat_template = THINKING
    return tokenizer


def parts_only() -> PreTrainedTokenizerFast:
    tokenizer = chatml()
    tokenizer.chat_template = PARTS
    return tokenizer


def _sentencepiece(legacy: bool) -> Tokenizer:
    """BPE over pieces that begin with ▁, falling back to bytes: as Llama 2's, of old and of now."""
    unknown, bytes_ = ["<unk>", "<s>", "</s>"], [f"<0x{byte:02X}>" for byte in range(256)]
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.BpeTrainer(
        vocab_size=700, special_tokens=unknown + bytes_, limit_alphabet=40, show_progress=False
    )
    learner.train_from_iterator(TEXTS, trainer)
    learned = learner.model
    learned.unk_token, learned.fuse_unk, learned.byte_fallback = "<unk>", True, True
    backend = Tokenizer(learned)
    if legacy:
        backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    spaces = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    backend.decoder = decoders.Sequence(spaces)
    return backend


def llama2(legacy: bool = False) -> PreTrainedTokenizerFast:
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=_sentencepiece(legacy), unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )
    tokenizer.chat_template = BRACKETS
    return tokenizer


def phi3() -> PreTrainedTokenizerFast:
    tokenizer = llama2(legacy=True)
    tokenizer.add_tokens(special("<|system|>", "<|user|>", "<|assistant|>", "<|end|>", rstrip=True), True)
    tokenizer.chat_template = ROLES
    return tokenizer


def unigram() -> PreTrainedTokenizerFast:
    """Pieces by likelihood; those of the special tokens are among them, as in T5."""
    backend = Tokenizer(models.Unigram())
    backend.normalizer = normalizers.NFKC()
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    backend.decoder = decoders.Metaspace(prepend_scheme="always")
    names = ["<pad>", "</s>", "<unk>"]
    trainer = trainers.UnigramTrainer(
        vocab_size=300, special_tokens=names, unk_token="<unk>", show_progress=False
    )
    backend.train_from_iterator([*TEXTS, *ANSWERS, "Nothing."], trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )
    set_chat_template(tokenizer, "plain")
    return tokenizer


ENDS = {
    "chatml": "<|im_end|>", "plain": "<|endoftext|>", "headings": "<|endoftext|>", "llama3": "<|eot|>",
    "qwen3": "<|im_end|>", "parts_only": "<|im_end|>", "llama2": " </s>", "legacy": " </s>",
    "phi3": "<|end|>", "unigram": "</s>",
}  # fmt: skip
"""What a turn of an assistant ends with, by the name of what is made here."""


def make(name: str) -> PreTrainedTokenizerFast:
    return llama2(legacy=True) if name == "legacy" else globals()[name]()


def talk(*texts, system: str | None = None) -> list[Message]:
    """User and assistant in turn; a text may be a tuple of parts."""
    said = [text if isinstance(text, tuple) else (text,) for text in texts]
    messages = [Message(("user", "assistant")[place % 2], parts) for place, parts in enumerate(said)]
    return ([Message("system", (system,))] if system is not None else []) + messages


PIECES = [
    *"aé猫ю😀 \n\t\u00a0\u3000<|>[]{}%'\"\\/_-", "  ", "\n\n", "👩\u200d🚀", "ﬁ", "e\u0301", "12", "3.5",
    "{{ x }}", "{% if %}", "Hello", " world", "<|im_end|>", "<|im_start|>", "</s>", "<s>", "<|endoftext|>",
    "<|eot|>", "<|end|>", "<|image|>", "<|no image|>", "<think>", "</think>", "[INST]", "User:", "Assistant:",
    "assistant", "\ue0000\ue001", "\ufdd0", "<|im_", "end|>", "im_start|><|",
]  # fmt: skip


def noise(random: np.random.Generator, longest: int = 12) -> str:
    """Any text: words, scripts, white space, marks of templates and special tokens, whole and in pieces."""
    return "".join(random.choice(PIECES) for _ in range(random.integers(1, longest)))


def random_talk(random: np.random.Generator) -> list[Message]:
    """Up to three turns, items among the users' texts."""
    texts: list = []
    for _ in range(random.integers(1, 4)):
        parts = [
            noise(random) if random.random() < 0.7 else Media("image", random.choice(["a.png", None]))
            for _ in range(random.integers(1, 4))
        ]
        texts += [tuple(parts), noise(random)]
    return talk(*texts, system=noise(random) if random.random() < 0.3 else None)
