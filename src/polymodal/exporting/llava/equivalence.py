"""Check that the LLaVA model equals the original: logits, and tokens of a conversation."""

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
"""Largest relative difference of logits: above rounding, and below the effect of what some language models do
after their last layer (Gemma 2 and Cohere scale and cap their logits)."""
WORDS = 4
"""Tokens before and after the image in the comparison."""


@torch.no_grad()
def check_same_logits(model: PolymodalForConditionalGeneration, llava: LlavaForConditionalGeneration) -> None:
    """Check that both models have equal logits for a random image within text.

    Raises:
        RunError: If they differ: the language model does more than LLaVA does with it.
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
        reason = f"a language model of type '{kind}' does more with its last layer than LLaVA"
        raise RunError(f"{reason}: logits differ by {apart:.2g}. Take another, such as Llama or Qwen3")


def _sample(model: PolymodalForConditionalGeneration, config: Any) -> tuple[Tensor, Tensor]:
    """Pixels ``(1, 3, side, side)``; ids ``(1, length)`` with placeholders and a missing image."""
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
    """Check that the processor writes a question about an image with the same tokens as the run.

    Args:
        processor: The exported processor.
        own: The run's renderer.
        patches: Number of embeddings of an image.
        between: Text between an image and its neighbour.

    Raises:
        RunError: If the tokens differ, or it cannot write them.
    """
    question = "What is it?"
    (name,) = own.placeholders
    prompt = Message(USER, (Media(name, "picture"), between, question))
    expected = own.encode((prompt,), lambda _: patches, reply=True).ids.tolist()
    image, text = ImageReader.modality, TextReader.modality  # types of parts have the same names
    content = [{"type": image, image: Image.new("RGB", (8, 8))}, {"type": text, text: question}]
    messages: Any = [{"role": "user", "content": content}]
    made: Any = processor.apply_chat_template(
        messages, add_generation_prompt=True, tokenize=True, return_dict=True
    )
    if made["input_ids"][0] != expected:
        reason = (
            "the chat template, or the tokenizer, writes a picture and a question otherwise without polymodal"
        )
        raise RunError(f"{reason}. Fit with generation.chat_template=chatml")
