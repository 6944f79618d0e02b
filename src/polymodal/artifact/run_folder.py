"""The folder of a run: how it is written, whether it is whole, and the model that lies in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError

from polymodal.artifact.capabilities import Kind
from polymodal.artifact.integrity import CHECKSUMS, check_finite, check_run_files, without_hub, write_sums
from polymodal.config import Declaration
from polymodal.errors import PolymodalError, RunError
from polymodal.models import PolymodalForPrediction, PolymodalForPreTraining, PolymodalLanguageConfig
from polymodal.models.base import PolymodalPreTrainedModel
from polymodal.utils.atomic import folder_aside, write_text
from polymodal.utils.json_files import read_json
from polymodal.utils.progress import quiet_libraries
from polymodal.utils.records import JsonObject
from polymodal.utils.threads import available_threads

M = TypeVar("M", bound=PolymodalPreTrainedModel)

FILES = ("config.json", "model.safetensors", "processor_config.json", "run.yaml")
"""What a complete run folder holds at least."""


def require_files(path: Path) -> None:
    """See that a run folder holds all of a run, as it was written, and nothing that leads elsewhere.

    Raises:
        RunError: If something is missing, or see :func:`polymodal.artifact.integrity.check_run_files`.
    """
    lacking = [name for name in FILES if not (path / name).is_file()]
    if lacking:
        cure = "Fit again, or with --resume if checkpoints/ is there"
        raise RunError(f"{path}: not a complete run, {', '.join(lacking)} missing. {cure}")
    check_run_files(path)


def kind_of(path: Path) -> Kind:
    """What the run in a folder answers with, by its ``config.json``; heads where it cannot be read."""
    config = configuration_of(path)
    if config is None:
        return Kind.heads
    if config.get("model_type") == PolymodalLanguageConfig.model_type:
        return Kind.words
    return Kind.heads if config.get("heads") else Kind.space


def model_class(path: Path) -> type[PolymodalForPrediction]:
    """The model of a run folder; after a pre-training one without heads, which answers nothing."""
    return PolymodalForPrediction if kind_of(path) is Kind.heads else cast(Any, PolymodalForPreTraining)


def configuration_of(path: Path) -> JsonObject | None:
    """What ``config.json`` says; None where it cannot be read, which is told when the model is."""
    try:
        config = read_json(path / "config.json")
    except (OSError, ValueError):
        return None
    return config if isinstance(config, dict) else None


UNREADABLE = (
    OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError, MemoryError,
    SafetensorError, StrictDataclassError, PolymodalError,
)  # fmt: skip
"""What a library raises at a configuration that no fit wrote: no heads, a type that is not there."""


def load_model(path: Path, kind: type[M]) -> M:
    """The model of a run folder, or its part of another ``kind``, every weight of it read.

    Raises:
        RunError: If a file cannot be read, or a weight is missing or of another shape.
    """
    try:
        with quiet_libraries(), without_hub():
            model, found = kind.from_pretrained(
                str(path), output_loading_info=True, trust_remote_code=False, use_safetensors=True
            )
    except UNREADABLE as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if "ignore_mismatched_sizes" in reason:
            reason = "config.json and model.safetensors are of different models"
        if isinstance(error, RunError):
            raise RunError(f"{path}: {reason}") from None
        if isinstance(error, PolymodalError):
            reason = f"{reason}; a part of your own must be registered before, or its package installed"
        raise RunError(f"{path}: the model cannot be read ({reason})") from None
    lacking = sorted(found["missing_keys"])
    if lacking:
        named = f"{lacking[0]} and {len(lacking) - 1} more" if len(lacking) > 1 else lacking[0]
        raise RunError(f"{path}: model.safetensors does not hold {named}. Fit again")
    check_finite(model, path)
    return model


def trained_threads(path: Path) -> int | None:
    """The threads that the run in a folder was trained with; None where it does not say."""
    try:
        trained = read_json(path / "metrics.json")["train"]
        threads = int(trained["threads"])
        return threads if threads > 0 else None
    except (
        OSError,
        ValueError,
        LookupError,
        TypeError,
        OverflowError,
        RunError,
    ):  # of an older version, or another device
        return None


def use_threads(threads: int | None, run: Path) -> None:
    """Let this process compute with ``threads``, by default with as many as the run was trained with."""
    available = available_threads()
    torch.set_num_threads(threads or min(available, trained_threads(run) or available))


def write_run(folder: Path, model: Any, processor: Any, declaration: Declaration) -> None:
    """Write what a run folder holds at least; the weights are there when all is, then its checksums."""
    (folder / CHECKSUMS).unlink(missing_ok=True)
    with folder_aside(folder, last="model.safetensors") as part:
        model.save_pretrained(part)
        processor.save_pretrained(part)
        write_text(part / "run.yaml", declaration.to_yaml())
        names = [path.relative_to(part).as_posix() for path in part.rglob("*") if path.is_file()]
    write_sums(folder, names)
