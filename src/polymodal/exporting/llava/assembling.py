"""A model and what reads for it → ``LlavaForConditionalGeneration`` and ``LlavaProcessor``, equal to them."""

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
    """The same model as LLaVA; it is compared with ``model`` before it is returned.

    Adapters are folded into the weights beside them, in copies. All other weights may be shared with
    ``model``, which stays as it is. What stands for a missing picture becomes an embedding like any other, so
    that embeddings and last layer are two matrices where they were one.

    Args:
        model: With one picture input.
        tokenizer: Of its language model, with its chat template.
        image_processor: Of its picture encoder.
        placeholder: The token in whose place a picture's vectors go.
        between: What the chat template writes between a picture and its neighbour in a message.

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
    # Copies: Transformers hands choices of its own, such as that of attention, down to the parts.
    vision, text = copy.deepcopy(encoder.backbone.config), copy.deepcopy(language_model.config)
    if hasattr(vision, "vision_use_head"):
        vision.vision_use_head = False  # the encoder has none, and no hidden layer needs it
    text.tie_word_embeddings = False
    text.architectures = [type(language_model).__name__]  # by which vLLM finds the language model
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
    """All weights, by the names of LLaVA's files on the hub, which every version of every library reads."""
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
    """The embeddings, with what stands for a missing picture in the place of its token's."""
    weight = cast(Tensor, table.weight).detach().clone()
    weight[token] = vector / getattr(table, "embed_scale", 1.0)  # Gemma's are multiplied by it
    return weight


def _loaded(
    config: LlavaConfig, weights: dict[str, Tensor], model: PolymodalForConditionalGeneration
) -> LlavaForConditionalGeneration:
    """LLaVA with these weights, and no other."""
    loaded: Any = LlavaForConditionalGeneration.from_pretrained(
        None,
        config=config,
        state_dict=weights,
        dtype=model.dtype,
        output_loading_info=True,
        trust_remote_code=False,
    )
    made, found = loaded
    odd = sorted(
        {*found["missing_keys"], *found["unexpected_keys"], *(key for key, *_ in found["mismatched_keys"])}
    )
    if odd:
        kind = cast(Any, config.text_config).model_type
        raise RunError(f"LLaVA and a language model of type '{kind}' do not have the same weights: {odd[0]}")
    return cast(LlavaForConditionalGeneration, made.to(model.device).eval())
