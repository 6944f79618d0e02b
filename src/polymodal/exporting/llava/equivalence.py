"""LLaVA beside the model that it is to equal: logits, and the tokens of a conversation."""

from __future__ import annotations

from typing import Any

import torch
from PIL import Image
from torch import Tensor
from transformers import LlavaForConditionalGeneration, LlavaProcessor

from polymodal.data.chat.messages import USER, Media, Message
from polymodal.data.chat.rendering import Renderer
from polymodal.data.readers import ImageReader, TextReader
from polymodal.errors import RunError
from polymodal.models import PolymodalForConditionalGeneration

NEAR = 1e-3
"""How far logits may differ, as a share of the largest: more than rounding does, and less than what some
language models do behind their last layer (Gemma 2 and Cohere, which scale and bend their logits)."""
WORDS = 4
"""Before the picture and behind it, as tokens, where the two are compared."""


@torch.no_grad()
def check_same_logits(model: PolymodalForConditionalGeneration, llava: LlavaForConditionalGeneration) -> None:
    """Refuse where the two do not say the same of a random picture among words.

    Raises:
        RunError: If they do not: the language model does more than LLaVA does with it.
    """
    was = model.training
    model.eval()
    pixels, ids = _sample(model, llava.config)
    inputs = {model.config.input_names[0]: {"pixel_values": pixels, "row": ids.new_zeros(1)}}
    mask = torch.ones_like(ids)
    own = model(input_ids=ids, attention_mask=mask, inputs=inputs).logits
    other = llava(input_ids=ids, attention_mask=mask, pixel_values=pixels).logits
    model.train(was)
    apart, largest = float((own - other).abs().max()), float(own.abs().max())
    if not apart <= NEAR * max(1.0, largest):
        kind = model.language_model.config.model_type
        found = f"a language model of type '{kind}' does more with its last layer than LLaVA"
        raise RunError(f"{found}: logits differ by {apart:.2g}. Take another, such as Llama or Qwen3")


def _sample(model: PolymodalForConditionalGeneration, config: Any) -> tuple[Tensor, Tensor]:
    """Pixels ``(1, 3, side, side)``; ids ``(1, length)`` with their placeholders and a missing picture."""
    (entry,) = model.config.inputs
    chance = torch.Generator().manual_seed(0)
    side = config.vision_config.image_size
    pixels = torch.randn(1, config.vision_config.num_channels, side, side, generator=chance)
    taken = {entry["placeholder"], entry["missing"]}
    known = torch.tensor([token for token in range(config.text_config.vocab_size) if token not in taken])
    words = known[torch.randint(len(known), (2, WORDS), generator=chance)]
    picture = torch.full((config.image_seq_length,), entry["placeholder"])
    ids = torch.cat([words[0], picture, words[1], torch.tensor([entry["missing"]]), words[0]])
    return pixels.to(model.device, model.dtype), ids.unsqueeze(0).to(model.device)


def check_same_tokens(processor: LlavaProcessor, own: Renderer, patches: int, between: str) -> None:
    """Refuse where the processor writes a question about a picture as other tokens than the run does.

    Args:
        processor: That is to be handed on.
        own: What writes the run's conversations.
        patches: How many vectors a picture takes.
        between: What stands between a picture and a text.

    Raises:
        RunError: If it does, or cannot write it.
    """
    question = "What is it?"
    (name,) = own.placeholders
    asked = Message(USER, (Media(name, "picture"), between, question))
    expected = own.encode((asked,), lambda _: patches, reply=True).ids.tolist()
    image, text = ImageReader.modality, TextReader.modality  # types of parts have the same names
    content = [{"type": image, image: Image.new("RGB", (8, 8))}, {"type": text, text: question}]
    messages: Any = [{"role": "user", "content": content}]
    made: Any = processor.apply_chat_template(
        messages, add_generation_prompt=True, tokenize=True, return_dict=True
    )
    if made["input_ids"][0] != expected:
        found = (
            "the chat template, or the tokenizer, writes a picture and a question otherwise without polymodal"
        )
        raise RunError(f"{found}. Fit with generation.chat_template=chatml")
