"""Check that LLaVA can express a model; one line for each reason why not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

from transformers import PreTrainedModel

from polymodal.errors import RunError
from polymodal.models import PolymodalForConditionalGeneration
from polymodal.models.connectors import MlpConnector
from polymodal.models.encoders import ImageEncoder


@dataclass(frozen=True)
class Tower:
    """Properties of an image encoder.

    Attributes:
        strategy: ``default`` drops the first token of a hidden layer, ``full`` keeps all.
        additional: Number of tokens before the patches.
    """

    strategy: Literal["default", "full"]
    additional: int


TOWERS = {"clip_vision_model": Tower("default", 1), "siglip_vision_model": Tower("full", 0)}
"""By model type; CLIP has a class token before the patches, SigLIP has none."""
BODY, HEAD = "model.", "lm_head.weight"
"""Names of a language model's weights in LLaVA's files, after ``language_model.``."""
CURE = "Fit with 'connector: {type: mlp, layer: -2}' under that input"


def check_fits(model: PolymodalForConditionalGeneration) -> None:
    """Check that LLaVA can express a model.

    Raises:
        RunError: If the model has other inputs than one image with a hidden layer of CLIP or SigLIP and the
            connector ``mlp``, or its language model has other weights than LLaVA's.
    """
    _check_inputs(model)
    (entry,) = model.config.inputs
    name, encoder = entry["name"], cast(ImageEncoder, model.encoder(entry["name"]))
    _check_encoder(name, encoder)
    if not isinstance(model.connector(name), MlpConnector):
        kind = entry["connector"]["type"]
        raise RunError(f"'{name}' goes through a '{kind}', and LLaVA's connector is an 'mlp'. {CURE}")
    if encoder.layer is None:
        reason = f"'{name}' is read from the encoder's last layer, pooled to 'tokens'"
        raise RunError(f"{reason}, and LLaVA reads all patches of a hidden layer. {CURE}")
    _check_language_model(model.language_model)


def _check_inputs(model: PolymodalForConditionalGeneration) -> None:
    modality_of = {name: model.encoder(name).modality for name in model.config.input_names}
    if list(modality_of.values()) != [ImageEncoder.modality]:
        has = ", ".join(f"{name} ({modality})" for name, modality in modality_of.items())
        reason = f"LLaVA reads one input, of pictures, and this model {f'reads {has}' if has else 'has none'}"
        raise RunError(f"{reason}. Fit one with a picture alone")


def _check_encoder(name: str, encoder: ImageEncoder) -> None:
    kind = encoder.backbone.config.model_type
    if not encoder.pretrained or kind not in TOWERS:
        reason = f"a model of type '{kind}'" if encoder.pretrained else "an encoder from scratch"
        fix = f"Fit with inputs.{name}.encoder=openai/clip-vit-large-patch14-336, or another of these"
        raise RunError(f"'{name}' is read by {reason}, and LLaVA has CLIP's and SigLIP's checkpoints. {fix}")


def _check_language_model(model: PreTrainedModel) -> None:
    names = list(model.state_dict())
    other = [name for name in names if name != HEAD and not name.startswith(BODY)]
    if other or HEAD not in names:
        reason = (
            f"a language model of type '{model.config.model_type}' has weights named {(other or names)[0]}"
        )
        fix = "Take another, such as Llama, Mistral, Qwen2 or Qwen3"
        raise RunError(f"{reason}, and LLaVA's are {BODY}… and {HEAD}. {fix}")
