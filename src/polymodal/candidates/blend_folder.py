"""The files of a blended run: ``blend.json`` at the top, each candidate in ``candidates/<name>``."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polymodal.answers.base import SavedDecoder, decoder_of_state
from polymodal.answers.plain_answers import Weights
from polymodal.answers.plain_blend import PlainBlend
from polymodal.artifact.integrity import CHECKSUMS, write_sums
from polymodal.artifact.run_folder import BLEND, BLEND_FILES, discard_candidates, discard_readers
from polymodal.artifact.run_folder import CANDIDATES as CANDIDATES_FOLDER
from polymodal.candidates.base import CANDIDATES, Loaded
from polymodal.config import Declaration
from polymodal.data.readers.joint_reader import joint_readers
from polymodal.data.row_processor import RowProcessor
from polymodal.errors import ConfigError, PolymodalError, RunError
from polymodal.plain.storage import reason_of
from polymodal.utils.atomic import write_text
from polymodal.utils.json_files import read_json

if TYPE_CHECKING:  # blends of plain models need no torch
    from polymodal.models.blend import BlendedModel

FORMAT = 2
OF_LOGARITHMS = 1
"""The format of blends that averaged the logarithms of amounts that were learned as such."""


def is_blend(folder: Path) -> bool:
    """Whether a folder holds a blended run."""
    return (folder / BLEND).is_file()


@dataclass(frozen=True)
class SavedBlend:
    """What ``blend.json`` holds.

    Attributes:
        inputs: In declared order.
        weights: Of each model.
        heads: By target, in declared order: see :meth:`polymodal.answers.base.SavedDecoder.state`.
        candidates: Those with a weight.
    """

    inputs: list[str]
    weights: Weights
    heads: Mapping[str, Mapping[str, Any]]
    candidates: list[str]


def write_blend(
    folder: Path,
    blend: PlainBlend | BlendedModel,
    processor: RowProcessor,
    declaration: Declaration,
    source: Path,
) -> None:
    """Write a blended run; ``blend.json`` last, so that a folder with it is complete.

    Args:
        folder: Gets the files.
        blend: Of plain models, or of others too.
        processor: Its own.
        declaration: Of the run.
        source: The folder whose ``candidates`` are copied, where it is another.
    """
    for name in (BLEND, CHECKSUMS, "model.safetensors", "config.json"):  # of a run of one model, too
        (folder / name).unlink(missing_ok=True)
    discard_readers(folder)
    if source.resolve() != folder.resolve():
        discard_candidates(folder)
        unfinished = shutil.ignore_patterns("checkpoints")
        shutil.copytree(
            source / CANDIDATES_FOLDER, folder / CANDIDATES_FOLDER, dirs_exist_ok=True, ignore=unfinished
        )
        if not isinstance(blend, PlainBlend):  # whose members cannot have been changed
            from polymodal.artifact.shared_weights import restore_weights

            restore_weights(folder / CANDIDATES_FOLDER)  # what a candidate shares may be changed by another
            for name, member in blend.named_members():
                CANDIDATES[name].write_member(member, folder / CANDIDATES_FOLDER / name)
    if next((folder / CANDIDATES_FOLDER).rglob("*.safetensors"), None) is not None:
        from polymodal.artifact.shared_weights import share_weights  # which needs torch

        share_weights(folder / CANDIDATES_FOLDER)
    targets = RowProcessor({}, processor.targets, processor.missing)  # candidates have readers of their own
    targets.save_pretrained(folder)
    write_text(folder / "run.yaml", declaration.to_yaml())
    saved = as_saved(blend)
    state = {
        "format": FORMAT,
        "inputs": saved.inputs,
        "candidates": saved.candidates,
        "heads": saved.heads,
        "weights": {target: dict(weights) for target, weights in saved.weights.items()},
    }
    write_text(folder / BLEND, json.dumps(state, indent=2, ensure_ascii=False) + "\n")
    write_sums(folder, [*BLEND_FILES, *_candidate_files(folder)])


def as_saved(blend: PlainBlend | BlendedModel) -> SavedBlend:
    """What is written of a blend."""
    if isinstance(blend, PlainBlend):
        heads = {name: decoder.state() for name, decoder in blend.decoders.items()}
        return SavedBlend(blend.input_names, blend.weights, heads, list(blend.members))
    from polymodal.models.blend import head_state  # which needs torch

    heads = {name: head_state(head) for name, head in blend.named_heads()}
    return SavedBlend(blend.config.input_names, blend.weights, heads, list(blend.members))


def _candidate_files(folder: Path) -> list[str]:
    paths = sorted((folder / CANDIDATES_FOLDER).rglob("*"))
    return [
        path.relative_to(folder).as_posix()
        for path in paths
        if path.is_file() and "checkpoints" not in path.relative_to(folder).parts
    ]


UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, PolymodalError)


def read_blend(folder: Path) -> tuple[PlainBlend | BlendedModel, RowProcessor]:
    """The blend in a folder and what feeds it; nothing of the folder is executed.

    A blend of plain models needs no torch.

    Raises:
        RunError: If a file is missing, damaged, or of another run.
        ConfigError: If a part comes from a package that is not installed.
    """
    processor = RowProcessor.from_pretrained(folder)
    try:
        saved = _read_saved(folder, processor)
        plain = all(not CANDIDATES[name].needs_torch for name in saved.candidates)
        decoders = {name: decoder_of_state(state) for name, state in saved.heads.items()} if plain else {}
    except UNREADABLE as error:
        if isinstance(error, ConfigError):
            raise
        raise RunError(f"{folder}: no readable {BLEND} ({reason_of(error)}). Fit again") from None
    return _read_plain(folder, saved, decoders, processor) if plain else _read_mixed(folder, saved, processor)


def _read_saved(folder: Path, processor: RowProcessor) -> SavedBlend:
    """The content of ``blend.json``.

    Raises:
        ValueError: If it is not what a fit writes.
    """
    state = read_json(folder / BLEND)
    if state["format"] not in (OF_LOGARITHMS, FORMAT):
        raise ValueError(f"format {state['format']!r}, expected {FORMAT}")
    heads = {str(name): dict(head) for name, head in state["heads"].items()}
    if state["format"] == OF_LOGARITHMS and any(head.get("transform") == "log" for head in heads.values()):
        raise ValueError("an earlier version averaged the logarithms of its models")
    inputs, weights = [str(name) for name in state["inputs"]], _weights(state["weights"])
    for name, head in heads.items():
        classes = processor.targets[name].classes
        if (classes or "classes" in head) and head.get("classes") != classes:
            raise ValueError(f"'{name}' has other classes than in processor_config.json")
    names = [str(name) for name in state["candidates"]]
    if not list(weights) == list(heads) == list(processor.targets):
        raise ValueError("weights, heads and processor_config.json are of different targets")
    return SavedBlend(inputs, weights, heads, names)


def _read_plain(
    folder: Path, saved: SavedBlend, decoders: Mapping[str, SavedDecoder], processor: RowProcessor
) -> tuple[PlainBlend, RowProcessor]:
    """A blend of plain models, which needs no torch."""
    loaded = {
        name: CANDIDATES[name].load_plain(folder / CANDIDATES_FOLDER / name, saved.inputs)
        for name in saved.candidates
    }
    readers = joint_readers({name: own for name, (_, own) in loaded.items()}, saved.inputs)
    joint = RowProcessor(readers, processor.targets, processor.missing)
    members = {name: member for name, (member, _) in loaded.items()}
    blend = PlainBlend(saved.inputs, members, saved.weights, decoders, joint)
    outputs = {name: decoder.outputs for name, decoder in decoders.items()}
    _check_members(folder, blend, {name: member.disagrees(outputs) for name, member in members.items()})
    return blend, joint


def _read_mixed(
    folder: Path, saved: SavedBlend, processor: RowProcessor
) -> tuple[BlendedModel, RowProcessor]:
    """A blend with models that compute with tensors."""
    from polymodal.data.processor import PolymodalProcessor
    from polymodal.models.blend import BlendConfig, BlendedModel, head_of_state

    try:
        heads = {name: head_of_state(state) for name, state in saved.heads.items()}
    except UNREADABLE as error:
        raise RunError(f"{folder}: no readable {BLEND} ({reason_of(error)}). Fit again") from None
    loaded: dict[str, Loaded] = {}
    for name in saved.candidates:
        loaded[name] = CANDIDATES[name].load_beside(folder / CANDIDATES_FOLDER / name, saved.inputs, loaded)
    members = {name: member for name, (member, _) in loaded.items()}
    model = BlendedModel(BlendConfig(saved.inputs, list(heads)), members, saved.weights, heads)
    named = dict(model.named_heads())
    _check_members(folder, model, {name: member.disagrees(named) for name, member in members.items()})
    readers = joint_readers({name: own for name, (_, own) in loaded.items()}, saved.inputs)
    return model, PolymodalProcessor(readers, processor.targets, processor.missing)


def _check_members(folder: Path, blend: PlainBlend | BlendedModel, wrong: Mapping[str, str]) -> None:
    """Check that every weight has its model, and that this one answers what the head expects.

    Args:
        folder: For messages.
        blend: Read from it.
        wrong: By candidate what it answers otherwise, as a predicate; else empty.

    Raises:
        RunError: If not.
    """
    for target, weights in blend.weights.items():
        absent = sorted(weights.keys() - set(blend.model_names(target)))
        if absent:
            raise RunError(
                f"{folder}: {BLEND} blends '{absent[0]}' for '{target}', which is not there. Fit again"
            )
    for name, predicate in wrong.items():
        if predicate:
            raise RunError(f"{folder}: the candidate '{name}' {predicate}. Fit again")


def _weights(state: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """The weights, checked.

    Raises:
        ValueError: If one is not between 0 and 1, or those of a target do not sum to 1.
    """
    weights = {str(target): {str(n): float(w) for n, w in each.items()} for target, each in state.items()}
    for target, each in weights.items():
        if not all(0 < weight <= 1 for weight in each.values()) or abs(sum(each.values()) - 1) > 1e-6:
            raise ValueError(f"the weights of '{target}' are no shares that sum to 1")
    return weights
