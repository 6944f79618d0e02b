"""Our own chat templates on tokenizers of other families, and the tokens they need."""

from __future__ import annotations

import pytest
from tokenizers import processors

from polymodal.data.chat.chat_templates import CHATML, set_chat_template
from polymodal.data.chat.rendering import Renderer
from polymodal.errors import ConfigError
from tests.support import chats as made

TALK = [
    {"role": "system", "content": " Be kind. "},
    {"role": "user", "content": "Hi\n"},
    {"role": "assistant", "content": "Hello"},
    {"role": "user", "content": "Bye"},
]


def written(tokenizer, **options) -> str:
    return tokenizer.apply_chat_template(TALK, tokenize=False, **options)


def test_chatml_adds_its_two_tokens_where_they_are_not_there():
    tokenizer = made.gpt2()
    before = len(tokenizer)
    set_chat_template(tokenizer, "chatml")
    assert len(tokenizer) == before + 2 and tokenizer.eos_token == "<|endoftext|>"
    set_chat_template(tokenizer, "chatml")
    assert len(tokenizer) == before + 2
    assert written(tokenizer, add_generation_prompt=True) == (
        "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
        "<|im_start|>assistant\nHello<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n"
    )
    assert tokenizer.convert_ids_to_tokens(Renderer(tokenizer).ends) == ["<|im_end|>", "<|endoftext|>"]


def test_plain_needs_no_new_token():
    tokenizer = made.gpt2()
    before = len(tokenizer)
    set_chat_template(tokenizer, "plain")
    assert len(tokenizer) == before
    assert written(tokenizer, add_generation_prompt=True) == (
        "Be kind.\n\nUser: Hi\nAssistant: Hello<|endoftext|>\nUser: Bye\nAssistant:"
    )


@pytest.mark.parametrize("name", ["chatml", "plain"])
def test_a_tokenizer_that_begins_its_texts_does_so_in_our_templates(name):
    tokenizer = made.llama2()
    begin = ("<s>", tokenizer.bos_token_id)
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[begin]
    )
    set_chat_template(tokenizer, name)
    ids = Renderer(tokenizer).encode(made.talk("q", "a"), lambda media: 1).ids.tolist()
    assert ids[0] == tokenizer.bos_token_id and ids.count(tokenizer.bos_token_id) == 1


def test_a_tokenizer_without_an_end_of_text_takes_that_of_chatml():
    tokenizer = made.gpt2()
    tokenizer.eos_token = None
    set_chat_template(tokenizer, "chatml")
    assert tokenizer.eos_token == "<|im_end|>"


def test_a_template_from_a_file(tmp_path):
    path = tmp_path / "chat.jinja"
    path.write_text(CHATML.replace("im_start", "Möwe"), encoding="utf-8")
    tokenizer = made.chatml()
    set_chat_template(tokenizer, str(path))
    assert written(tokenizer).startswith("<|Möwe|>system")


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        ("chatm", "no template 'chatm' (No such file or directory). Did you mean 'chatml'? There are:"),
        ("a\0b", "no template"),
        ("folder", "(Is a directory)"),
        ("bytes.jinja", "(it is no text)"),
    ],
)
def test_what_is_neither_name_nor_file_is_told_in_one_line(tmp_path, monkeypatch, chosen, told):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "bytes.jinja").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError) as caught:
        set_chat_template(made.gpt2(), chosen)
    message = str(caught.value)
    assert message.startswith("generation.chat_template: ") and told in message and "\n" not in message


@pytest.mark.parametrize("name", ["chatml", "plain"])
def test_our_templates_refuse_what_is_no_text(name):
    tokenizer = made.gpt2()
    set_chat_template(tokenizer, name)
    with pytest.raises(Exception, match="content has to be a text"):
        tokenizer.apply_chat_template([{"role": "user", "content": [{"type": "text", "text": "a"}]}])
