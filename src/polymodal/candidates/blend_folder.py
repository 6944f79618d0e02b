"""The files of a blended run: ``blend.json`` at the top, each candidate in ``candidates/<name>``."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from polymodal.artifact.integrity import CHECKSUMS, write_sums
from polymodal.artifact.run_folder import BLEND, BLEND_FILES, discard_candidates
from polymodal.artifact.run_folder import CANDIDATES as CANDIDATES_FOLDER
from polymodal.artifact.shared_weights import restore_weights, share_weights
from polymodal.candidates.base import CANDIDATES, Loaded
from polymodal.config import Declaration
from polymodal.data.processor import PolymodalProcessor
from polymodal.data.readers import Reader
from polymodal.data.readers.joint_reader import JointReader
from polymodal.errors import PolymodalError, RunError
from polymodal.models.blend import BlendConfig, BlendedModel, head_of_state, head_state
from polymodal.models.heads import Head
from polymodal.plain.storage import reason_of
from polymodal.utils.atomic import write_text
from polymodal.utils.json_files import read_json

FORMAT = 2
OF_LOGARITHMS = 1
"""The format of blends that averaged the logarithms of amounts that were learned as such."""


def is_blend(folder: Path) -> bool:
    """Whether a folder holds a blended run."""
    return (folder / BLEND).is_file()


def write_blend(
    folder: Path, model: BlendedModel, processor: PolymodalProcessor, declaration: Declaration, source: Path
) -> None:
    """Write a blended run; ``blend.json`` last, so that a folder with it is complete.

    Args:
        folder: Gets the files.
        model: The blend.
        processor: Its own.
        declaration: Of the run.
        source: The folder whose ``candidates`` are copied, where it is another.
    """
    for name in (BLEND, CHECKSUMS, "model.safetensors", "config.json"):  # of a run of one model, too
        (folder / name).unlink(missing_ok=True)
    if source.resolve() != folder.resolve():
        discard_candidates(folder)
        unfinished = shutil.ignore_patterns("checkpoints")
        shutil.copytree(
            source / CANDIDATES_FOLDER, folder / CANDIDATES_FOLDER, dirs_exist_ok=True, ignore=unfinished
        )
        restore_weights(folder / CANDIDATES_FOLDER)  # what a candidate shares may be changed by another
        for name, member in model.named_members():
            CANDIDATES[name].write_member(member, folder / CANDIDATES_FOLDER / name)
    share_weights(folder / CANDIDATES_FOLDER)
    targets = PolymodalProcessor(
        {}, processor.targets, processor.missing
    )  # candidates have readers of their own
    targets.save_pretrained(folder)
    write_text(folder / "run.yaml", declaration.to_yaml())
    state = {
        "format": FORMAT,
        "inputs": model.config.input_names,
        "candidates": list(model.members),
        "heads": {name: head_state(head) for name, head in model.named_heads()},
        "weights": {target: dict(weights) for target, weights in model.weights.items()},
    }
    write_text(folder / BLEND, json.dumps(state, indent=2, ensure_ascii=False) + "\n")
    write_sums(folder, [*BLEND_FILES, *_candidate_files(folder)])


def _candidate_files(folder: Path) -> list[str]:
    paths = sorted((folder / CANDIDATES_FOLDER).rglob("*"))
    return [
        path.relative_to(folder).as_posix()
        for path in paths
        if path.is_file() and "checkpoints" not in path.relative_to(folder).parts
    ]


UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, PolymodalError)


def read_blend(folder: Path) -> tuple[BlendedModel, PolymodalProcessor]:
    """The blend in a folder and what feeds it; nothing of the folder is executed.

    Raises:
        RunError: If a file is missing, damaged, or of another run.
        ConfigError: If a part comes from a package that is not installed.
    """
    saved = PolymodalProcessor.from_pretrained(folder)
    try:
        state = read_json(folder / BLEND)
        if state["format"] not in (OF_LOGARITHMS, FORMAT):
            raise ValueError(f"format {state['format']!r}, expected {FORMAT}")
        if state["format"] == OF_LOGARITHMS and any(
            h.get("transform") == "log" for h in state["heads"].values()
        ):
            raise ValueError("an earlier version averaged the logarithms of its models")
        inputs, weights = [str(name) for name in state["inputs"]], _weights(state["weights"])
        heads = _heads(state["heads"], saved)
        names = [str(name) for name in state["candidates"]]
        if not list(weights) == list(heads) == list(saved.targets):
            raise ValueError("weights, heads and processor_config.json are of different targets")
    except UNREADABLE as error:
        raise RunError(f"{folder}: no readable {BLEND} ({reason_of(error)}). Fit again") from None
    loaded: dict[str, Loaded] = {}
    for name in names:
        loaded[name] = CANDIDATES[name].load_beside(folder / CANDIDATES_FOLDER / name, inputs, loaded)
    members = {name: member for name, (member, _) in loaded.items()}
    model = BlendedModel(BlendConfig(inputs, list(heads)), members, weights, heads)
    _check_members(folder, model)
    readers = joint_readers({name: own for name, (_, own) in loaded.items()}, inputs)
    return model, PolymodalProcessor(readers, saved.targets, saved.missing)


def _heads(states: Mapping[str, Mapping[str, Any]], saved: PolymodalProcessor) -> dict[str, Head]:
    """The heads, once their classes are known to be those of the targets.

    Raises:
        ValueError: If they are others.
    """
    for name, state in states.items():
        classes = saved.targets[name].classes
        if (classes or "classes" in state) and state.get("classes") != classes:
            raise ValueError(f"'{name}' has other classes than in processor_config.json")
    return {name: head_of_state(state) for name, state in states.items()}


def _check_members(folder: Path, model: BlendedModel) -> None:
    """Check that every weight has its model, and that this one answers what the head expects.

    Raises:
        RunError: If not.
    """
    for target, weights in model.weights.items():
        absent = sorted(weights.keys() - set(model.model_names(target)))
        if absent:
            raise RunError(
                f"{folder}: {BLEND} blends '{absent[0]}' for '{target}', which is not there. Fit again"
            )
    for name, member in model.named_members():
        if wrong := member.disagrees(dict(model.named_heads())):
            raise RunError(f"{folder}: the candidate '{name}' {wrong}. Fit again")


def joint_readers(
    candidates: Mapping[str, Mapping[str, Reader]], inputs: list[str]
) -> dict[str, JointReader]:
    """By input a reader that reads it for every candidate.

    Args:
        candidates: By candidate its readers.
        inputs: In declared order.

    Raises:
        RunError: If no candidate reads an input.
    """
    readers = {}
    for name in inputs:
        # The neural model's reader comes first: it describes the input as a fit of this model alone would.
        parts = {key: own[name] for key, own in candidates.items() if name in own}
        if not parts:
            raise RunError(f"no candidate reads '{name}'")
        readers[name] = JointReader(dict(sorted(parts.items(), key=lambda part: part[0] != "fused")))
    return readers


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
