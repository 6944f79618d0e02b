"""The weights of a run folder, loaded as a model: every one must be there, and finite."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar, cast

from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from torch import nn

from polymodal.artifact.capabilities import Kind
from polymodal.artifact.integrity import check_agreement, without_hub
from polymodal.artifact.run_folder import kind_of
from polymodal.artifact.shared_weights import SHARED, whole_state
from polymodal.config import Declaration
from polymodal.config.parsing import load_yaml
from polymodal.data.processor import PolymodalProcessor
from polymodal.errors import PolymodalError, RunError
from polymodal.models import PolymodalForPrediction, PolymodalForPreTraining
from polymodal.models.base import PolymodalPreTrainedModel
from polymodal.utils.progress import quiet_libraries

M = TypeVar("M", bound=PolymodalPreTrainedModel)
TEMPERATURE = "temperature"
"""Name of the buffer of a head that its logits are divided by."""


def model_class(path: Path) -> type[PolymodalForPrediction]:
    """Model class of a run folder: with heads, or the pre-training model without them."""
    return PolymodalForPrediction if kind_of(path) is Kind.heads else cast(Any, PolymodalForPreTraining)


UNREADABLE = (
    OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError, MemoryError,
    SafetensorError, StrictDataclassError, PolymodalError,
)  # fmt: skip
"""Exceptions that libraries raise for a configuration that no fit wrote, such as an unknown model type."""


def load_model(path: Path, kind: type[M]) -> M:
    """Load the model of a run folder as class ``kind``; every weight must be in the file.

    Args:
        path: The run folder.
        kind: Class to load, see :func:`model_class`.

    Raises:
        RunError: If a file cannot be read, or a weight is missing or of another shape.
    """
    try:
        with quiet_libraries(), without_hub():
            model, loading = _read(path, kind)
    except UNREADABLE as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if "ignore_mismatched_sizes" in reason:
            reason = "config.json and model.safetensors are of different models"
        if isinstance(error, RunError):
            raise RunError(f"{path}: {reason}") from None
        if isinstance(error, PolymodalError):
            reason = f"{reason}; a part of your own must be registered before, or its package installed"
        raise RunError(f"{path}: the model cannot be read ({reason})") from None
    lacking = sorted(loading["missing_keys"])
    if lacking:
        named = f"{lacking[0]} and {len(lacking) - 1} more" if len(lacking) > 1 else lacking[0]
        raise RunError(f"{path}: model.safetensors does not hold {named}. Fit again")
    check_finite(model, path)
    return model


def _read(path: Path, kind: type[M]) -> tuple[M, dict[str, Any]]:
    """The model, and what Transformers reports of its weights; with those that another candidate keeps."""
    options: dict[str, Any] = {"output_loading_info": True}
    if not (path / SHARED).exists():
        made = kind.from_pretrained(str(path), use_safetensors=True, trust_remote_code=False, **options)
    else:
        config = kind.config_class.from_pretrained(str(path), trust_remote_code=False)
        state = whole_state(path)
        made = kind.from_pretrained(None, config=config, state_dict=state, trust_remote_code=False, **options)
    return cast(tuple[M, dict[str, Any]], made)


def check_finite(model: nn.Module, folder: Path) -> None:
    """Refuse weights that are not finite, which would make all predictions NaN.

    The temperature of a head, by which its logits are divided, has to be above 0 as well: one of 0 predicts
    the first class for every row, and a negative one reverses the order of the classes.

    Raises:
        RunError: Naming the first such weight.
    """
    for name, weight in model.named_parameters():
        if weight.is_floating_point() and not bool(weight.detach().isfinite().all()):
            raise RunError(f"{folder}: the weight {name} holds values that are not finite. Fit again")
    for name, buffer in model.named_buffers():
        if not buffer.is_floating_point():
            continue
        if name.rpartition(".")[2] == TEMPERATURE and not bool(((buffer > 0) & buffer.isfinite()).all()):
            wrong = f"the weight {name} is {float(buffer.flatten()[0]):g}, expected a number above 0"
            raise RunError(f"{folder}: {wrong}. Fit again")
        if bool(buffer.isnan().any()):  # infinite are the bounds within which some backbones clip
            raise RunError(f"{folder}: the weight {name} holds values that are not finite. Fit again")


def load_run_of_one_model(path: Path) -> tuple[PolymodalForPrediction, PolymodalProcessor, Declaration]:
    """The model of a run folder, its processor and its declaration, to the CPU.

    Raises:
        RunError: If a file cannot be read, or the files are of different runs.
    """
    model = load_model(path, model_class(path))
    with without_hub():
        processor = PolymodalProcessor.from_pretrained(path)
    declaration = load_yaml(path / "run.yaml")
    names = model.config.input_names, model.config.head_names
    declared = {
        "processor_config.json": (list(processor.readers), list(processor.targets)),
        "run.yaml": (list(declaration.inputs), list(declaration.targets)),
    }
    for file in declared:
        if declared[file] != names:
            raise RunError(f"{path}: config.json and {file} are of different runs. Fit again")
    check_agreement(model.config, processor, path)
    return model, processor, declaration
