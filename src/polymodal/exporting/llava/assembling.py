"""Conversion of a generation model and its processor to ``LlavaForConditionalGeneration``."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor, PreTrainedModel
from transformers import PreTrainedTokenizerBase as Tokenizer

from polymodal.data.chat.rendering import Renderer
from polymodal.errors import RunError
from polymodal.exporting.llava.equivalence import check_same_logits, check_same_tokens
from polymodal.exporting.llava.expressible import TOWERS, check_fits
from polymodal.exporting.llava.llava_processor import reading_parts
from polymodal.models import PolymodalForConditionalGeneration
from polymodal.models.encoders import ImageEncoder
from polymodal.models.encoders.adapters import fold_adapters, fold_layers


def to_llava(
    model: PolymodalForConditionalGeneration,
    tokenizer: Tokenizer,
    image_processor: Any,
    placeholder: str,
    *,
    between: str = "\n",
) -> tuple[LlavaForConditionalGeneration, LlavaProcessor]:
    """Convert a model to LLaVA; the result is compared with ``model`` before it is returned.

    Adapters are merged in copies. Other weights may be shared with ``model``, which is not changed. The
    embedding of a missing image becomes a row of the embedding matrix, which is then not tied to the last
    layer.

    Args:
        model: A model with one image input.
        tokenizer: The tokenizer of its language model, with its chat template.
        image_processor: Its image processor.
        placeholder: The token that is replaced by the embeddings of an image.
        between: Text that the chat template writes between an image and its neighbour in a message.

    Raises:
        RunError: If LLaVA cannot express it.
    """
    check_fits(model)
    (entry,) = model.config.inputs
    if tokenizer.convert_tokens_to_ids(placeholder) != entry["placeholder"]:
        raise RunError(
            f"the tokenizer has {placeholder} at another place than the model. Take the model's own"
        )
    encoder = _without_adapters(cast(ImageEncoder, model.encoder(entry["name"])))
    language_model = _merged(model.language_model) if model.config.lora else model.language_model
    config = _configuration(encoder, language_model, entry["placeholder"])
    made = _loaded(config, _weights(model, encoder, language_model), model)
    made.generation_config = copy.deepcopy(model.generation_config)
    made.generation_config._from_model_config = False
    check_same_logits(model, made)
    processor = reading_parts(tokenizer, image_processor, placeholder, config, between)
    check_same_tokens(processor, Renderer(tokenizer, [entry["name"]]), config.image_seq_length, between)
    return made, processor


def _without_adapters(encoder: ImageEncoder) -> ImageEncoder:
    if encoder.lora is None:
        return encoder
    encoder = copy.deepcopy(encoder)
    fold_adapters(encoder)
    return encoder


def _merged(language_model: PreTrainedModel) -> PreTrainedModel:
    merged = copy.deepcopy(language_model)
    fold_layers(merged)
    return merged


def _configuration(encoder: ImageEncoder, language_model: PreTrainedModel, placeholder: int) -> LlavaConfig:
    # Copies, for Transformers sets choices such as the attention implementation in the parts.
    vision, text = copy.deepcopy(encoder.backbone.config), copy.deepcopy(language_model.config)
    if hasattr(vision, "vision_use_head"):
        vision.vision_use_head = False  # not used by hidden layers
    text.tie_word_embeddings = False
    text.architectures = [type(language_model).__name__]  # vLLM finds the language model by it
    for part in (vision, text):
        part.dtype, part._name_or_path = language_model.dtype, ""
    tower = TOWERS[vision.model_type]
    return LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=placeholder,
        image_seq_length=(vision.image_size // vision.patch_size) ** 2,
        vision_feature_layer=cast(int, encoder.layer),
        vision_feature_select_strategy=tower.strategy,
        projector_hidden_act="gelu",
        multimodal_projector_bias=True,
        tie_word_embeddings=False,
    )


def _weights(
    model: PolymodalForConditionalGeneration, encoder: ImageEncoder, language_model: PreTrainedModel
) -> dict[str, Tensor]:
    """All weights, under the names of LLaVA's files on the hub."""
    (entry,) = model.config.inputs
    connector = model.connector(entry["name"])
    words = dict(language_model.state_dict())
    table = language_model.get_input_embeddings()
    name = next(name for name, module in language_model.named_modules() if module is table)
    words[f"{name}.weight"] = _with_missing(table, entry["missing"], connector.missing)
    parts: Mapping[str, Mapping[str, Tensor]] = {
        "language_model": words,
        "vision_tower.vision_model": encoder.backbone.state_dict(),
        "multi_modal_projector": {
            key: value for key, value in connector.state_dict().items() if key != "missing"
        },
    }
    return {f"{part}.{key}": value for part, held in parts.items() for key, value in held.items()}


@torch.no_grad()
def _with_missing(table: nn.Module, token: int, vector: Tensor) -> Tensor:
    """The embedding matrix, with the embedding of a missing image at its token."""
    weight = cast(Tensor, table.weight).detach().clone()
    weight[token] = vector / getattr(table, "embed_scale", 1.0)  # Gemma multiplies embeddings by it
    return weight


def _loaded(
    config: LlavaConfig, weights: dict[str, Tensor], model: PolymodalForConditionalGeneration
) -> LlavaForConditionalGeneration:
    """LLaVA with exactly these weights."""
    loaded: Any = LlavaForConditionalGeneration.from_pretrained(
        None,
        config=config,
        state_dict=weights,
        dtype=model.dtype,
        output_loading_info=True,
        trust_remote_code=False,
    )
    made, result = loaded
    odd = sorted(
        {*result["missing_keys"], *result["unexpected_keys"], *(key for key, *_ in result["mismatched_keys"])}
    )
    if odd:
        kind = cast(Any, config.text_config).model_type
        raise RunError(f"LLaVA and a language model of type '{kind}' do not have the same weights: {odd[0]}")
    return cast(LlavaForConditionalGeneration, made.to(model.device).eval())
