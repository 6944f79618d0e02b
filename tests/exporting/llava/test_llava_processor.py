"""LLaVA's processor writes conversations as the run itself does, whatever chat template they have."""

import pytest
import transformers as hf
from tokenizers import processors

import polymodal as pm
from polymodal.data.chat.messages_reading import ConversationReader
from polymodal.data.chat.rendering import Renderer
from polymodal.exporting.llava.equivalence import check_same_tokens
from polymodal.exporting.llava.llava_processor import reading_parts
from tests.support import chats as families
from tests.support.llava_runs import PIXELS, asked, image, text

PATCHES = 16
QUESTIONS = {
    "picture first": asked([image(0), text("What is it?")]),
    "picture last": asked([text("Und was hörst du?"), image(0)]),
    "picture within": asked(
        [text("Is this "), image(0), text(" it,"), image(1), image(2), text("\nor that? ")]
    ),
    "picture alone": asked([image(0)]),
    "no picture": asked("  那是什么?\n"),
    "parts of text": asked([text("What "), text("is it?")]),
}
TURNS = asked([image(0), text("What is it?")], "A red circle.", [text("And this?"), image(1)])
SYSTEM = [{"role": "system", "content": "Say it in a word."}, *QUESTIONS["picture first"]]


def processor_of(tokenizer, folder, between="\n", name="image"):
    """As Transformers loads it."""
    Renderer(tokenizer, [name])
    vision = hf.CLIPVisionConfig(**PIXELS, hidden_size=16, num_attention_heads=2)
    config = hf.LlavaConfig(vision_config=vision, vision_feature_select_strategy="default")
    part = hf.CLIPImageProcessor(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})
    reading_parts(tokenizer, part, f"<|{name}|>", config, between).save_pretrained(folder)
    return hf.AutoProcessor.from_pretrained(folder)


def own_ids(tokenizer, messages, between="\n"):
    read = ConversationReader(inputs={"image": "image"}, between=between).read({"messages": messages})
    return Renderer(tokenizer, ["image"]).encode(read, lambda _: PATCHES, reply=True).ids.tolist()


def written(processor, messages, **options):
    made = processor.apply_chat_template(
        messages, add_generation_prompt=True, tokenize=True, return_dict=True, **options
    )
    return made["input_ids"][0]


def assert_same(tokenizer, processor, messages, between="\n"):
    assert written(processor, messages) == own_ids(tokenizer, messages, between)


@pytest.mark.parametrize("name", families.ENDS)
def test_every_family_of_tokenizers_and_templates(name, tmp_path):
    tokenizer = families.make(name)
    processor = processor_of(tokenizer, tmp_path)
    for messages in (*QUESTIONS.values(), TURNS):
        assert_same(tokenizer, processor, messages)
    if name not in ("llama2", "legacy"):  # whose template knows none
        assert_same(tokenizer, processor, SYSTEM)


@pytest.mark.parametrize("between", [" ", "\n\n", " \"'{{ é 😀 \\ }}' "])
def test_what_stands_between_a_picture_and_its_neighbour(between, tmp_path):
    tokenizer = families.make("chatml")
    processor = processor_of(tokenizer, tmp_path, between)
    for messages in (*QUESTIONS.values(), TURNS):
        assert_same(tokenizer, processor, messages, between)


@pytest.mark.parametrize("name", ["CONTENT", 'a "photo\'s" {{ x }} \\ é 😀 BETWEEN'])
def test_an_input_may_have_any_name(name, tmp_path):
    tokenizer = families.make("chatml")
    processor = processor_of(tokenizer, tmp_path, name=name)
    content = [text("Is this"), image(0), text("it?")]
    read = ConversationReader(inputs={name: "image"}).read({"messages": asked(content)})
    expected = Renderer(tokenizer, [name]).encode(read, lambda _: PATCHES, reply=True).ids.tolist()
    assert written(processor, asked(content)) == expected


@pytest.mark.parametrize("name, ends", [("headings", False), ("llama2", False), ("chatml", True)])
def test_tokens_that_a_tokenizer_adds_by_itself_are_not_added_to_what_the_template_writes(
    name, ends, tmp_path
):
    tokenizer = families.make(name)
    token = tokenizer.eos_token if ends else tokenizer.bos_token
    single = f"$A {token}" if ends else f"{token} $A"
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=single, special_tokens=[(token, tokenizer.convert_tokens_to_ids(token))]
    )
    plain = tokenizer("a", add_special_tokens=False).input_ids
    assert len(tokenizer("a").input_ids) == len(plain) + 1
    processor = processor_of(tokenizer, tmp_path)
    assert_same(tokenizer, processor, QUESTIONS["picture first"])
    assert_same(tokenizer, processor, TURNS)
    assert len(tokenizer("a").input_ids) == len(plain) + 1  # the run's own is as it was


def test_an_answer_may_follow_an_empty_thought(tmp_path):
    """Where the template writes one before answers, and none where an answer is asked for."""
    tokenizer = families.make("qwen3")
    processor = processor_of(tokenizer, tmp_path)
    asked_for = processor.apply_chat_template(QUESTIONS["no picture"], add_generation_prompt=True)
    assert asked_for.endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")
    assert processor.apply_chat_template(QUESTIONS["no picture"]).endswith("<|im_end|>\n")


def test_what_is_neither_text_nor_picture_is_refused(tmp_path):
    processor = processor_of(families.make("chatml"), tmp_path)
    clip = asked([{"type": "video", "path": "a.mp4"}, text("What is it?")])
    with pytest.raises(Exception, match="this model reads texts and pictures, no video"):
        processor.apply_chat_template(clip)


def test_a_template_that_cannot_be_wrapped_is_refused(tmp_path):
    tokenizer = families.make("chatml")
    lone = "{{- 'A question alone.' if messages | length == 1 }}"
    tokenizer.chat_template = lone + tokenizer.chat_template
    with pytest.raises(pm.RunError, match="chat_template=chatml"):
        processor_of(tokenizer, tmp_path)


def test_other_tokens_than_the_runs_are_refused(tmp_path):
    tokenizer = families.make("chatml")
    processor, own = processor_of(tokenizer, tmp_path, " "), Renderer(tokenizer, ["image"])
    check_same_tokens(processor, own, PATCHES, " ")
    with pytest.raises(pm.RunError, match="writes a picture and a question otherwise"):
        check_same_tokens(processor, own, PATCHES, "\n")
