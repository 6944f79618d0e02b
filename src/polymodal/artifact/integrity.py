"""Safety and integrity checks of run folders, which may come from an untrusted source.

Loading a run executes no code from its folder and makes no network requests. Weights are safetensors; a
backbone is the dictionary of its configuration; settings by which Transformers would fetch code or weights
are refused; links out of the folder are refused; and the hub is offline while a run is loaded.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

from huggingface_hub import constants

from polymodal.data.readers import READERS, TextReader
from polymodal.errors import RunError
from polymodal.utils.atomic import write_text
from polymodal.utils.checksums import CHECKSUMS, check_sums, digest_of, refuse_pipes
from polymodal.utils.json_files import read_json
from polymodal.utils.tokenizer_files import check_tokenizer

FOREIGN = ("adapter_config.json", "pytorch_model.bin", "model.safetensors.index.json")
"""Files that no run has and Transformers would read: pickled weights, or weights of another model."""
ABOUT = ("metrics.json", "report.json", "compare.json", "explanations.json", "search.json", CHECKSUMS)
"""Files about a run, such as its metrics; loading does not read them."""
PARTS = ("reader_*", "additional_chat_templates")
"""Folders of a run whose files are read, whatever their names are."""
READ = (
    "blend.json", "config.json", "generation_config.json", "model.safetensors", "run.yaml",
    "processor_config.json", "preprocessor_config.json", "video_preprocessor_config.json",
    "chat_template.jinja", "chat_template.json", "tokenizer.json", "tokenizer_config.json",
    "special_tokens_map.json", "added_tokens.json", "vocab.json", "vocab.txt", "merges.txt",
)  # fmt: skip
"""Files of the folder itself that are read where they are there."""
REFUSED_KEYS = ("auto_map", "quantization_config", "custom_pipelines", "transformers_weights")
"""Settings that name code or weights elsewhere."""
IMPLEMENTATIONS = ("attn_implementation", "_attn_implementation", "experts_implementation")
"""Settings whose value may name a kernel on the hub."""
DEEPEST = 64
"""Levels of JSON; ours have fewer than ten."""


def check_run_files(folder: Path) -> None:
    """Check a run folder before loading: links, file types, checksums, settings that name code.

    Raises:
        RunError: One line with the file and the reason.
    """
    check_links(folder)
    check_kinds(folder)
    for name in FOREIGN:
        if (folder / name).exists():
            raise RunError(f"{folder}: {name} is no part of a run. Remove it, or fit again")
    check_sums(folder)
    check_listed(folder)
    for path in sorted([*folder.glob("*.json"), *folder.glob("reader_*/**/*.json")]):
        if path.name not in ABOUT:
            content = _content(path)
            refuse_outside(content, path)
            if path.name == "tokenizer.json" and isinstance(content, dict):
                check_tokenizer(content, path)


def _loaded(folder: Path) -> list[Path]:
    """Files that loading may read: in the folder itself, and in those of its parts."""
    inner = (path for name in (*PARTS, "candidates", "samples") for path in folder.glob(f"{name}/**/*"))
    return sorted([*folder.glob("*"), *inner])


def check_links(folder: Path) -> None:
    """Refuse symbolic links out of a run folder, except into the blobs of the hub's cache.

    Raises:
        RunError: Naming the link and its target.
    """
    whole = folder.resolve()
    allowed = [whole]
    for run in (whole, whole.parent.parent):  # a candidate lies two folders below the run that it is part of
        if run.parent.name == "snapshots":
            allowed.append(run.parent.parent / "blobs")
    for path in _loaded(folder):
        if path.is_symlink() and not any(path.resolve().is_relative_to(root) for root in allowed):
            raise RunError(f"{path}: is a link out of the run folder, to {os.readlink(path)}. Copy the file")


def check_kinds(folder: Path) -> None:
    """Refuse pipes and devices: reading one may block forever.

    Raises:
        RunError: Naming the first.
    """
    refuse_pipes(_loaded(folder))


def _content(path: Path) -> Any:
    """Content of a JSON file of a run; None if it is not valid JSON, which the code that needs it reports.

    Raises:
        RunError: If it is too large or too deep to be one of ours.
    """
    try:
        return read_json(path)
    except (OSError, ValueError):
        return None


def refuse_outside(content: Any, path: Path, depth: int = 0) -> None:
    """Refuse settings that make loading fetch files or execute code.

    Raises:
        RunError: Naming the file and the setting.
    """
    if depth > DEEPEST:
        raise RunError(f"{path}: nested too deeply to be a file of a run. Fit again")
    values = content.values() if isinstance(content, dict) else content if isinstance(content, list) else ()
    if isinstance(content, dict):
        for key, reason in _outside(content):
            raise RunError(f"{path}: '{key}' {reason}, which no run needs. Do not trust this folder")
    for value in values:
        if isinstance(value, dict | list):
            refuse_outside(value, path, depth + 1)


def _outside(settings: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Settings that fetch code or weights, each with its effect."""
    for key in REFUSED_KEYS:
        if settings.get(key):
            yield key, "names code or weights elsewhere"
    if isinstance(settings.get("backbone"), str) and ("model_type" in settings or "tokens" in settings):
        yield "backbone", "is the name of a model to fetch, expected its configuration"
    if settings.get("use_pretrained_backbone") or settings.get("use_timm_backbone"):
        yield "use_pretrained_backbone", "fetches weights"
    for key in IMPLEMENTATIONS:
        if any(mark in str(settings.get(key) or "") for mark in "/:"):
            yield key, "names a kernel to fetch"


def write_sums(folder: Path, names: list[str], known: Mapping[str, str] | None = None) -> None:
    """Write ``checksums.json`` of the files ``names``, relative to ``folder``, beside sums that are known."""
    sums = dict(sorted({**(known or {}), **{name: digest_of(folder / name) for name in names}}.items()))
    write_text(folder / CHECKSUMS, json.dumps({"sha256": sums}, indent=2, ensure_ascii=False) + "\n")


def add_sums(folder: Path, names: list[str]) -> None:
    """Add the files ``names`` to ``checksums.json``; a folder without it stays without."""
    path = folder / CHECKSUMS
    if path.is_file():
        write_sums(folder, names, read_json(path)["sha256"])


def check_listed(folder: Path) -> None:
    """Check that ``checksums.json``, if there is one, has every file that loading reads by its name.

    Raises:
        RunError: Naming a file that was added, or left out of the checksums.
    """
    path = folder / CHECKSUMS
    if not path.is_file():
        return
    sums = read_json(path)["sha256"]
    for name in _read_by_name(folder):
        if name not in sums:
            fix = f"Copy the run again, or delete {CHECKSUMS} if you changed the file yourself"
            raise RunError(f"{folder}: {name} is not among the files of {CHECKSUMS}. {fix}")


def _read_by_name(folder: Path) -> list[str]:
    """The files that are there and that loading reads by their names alone, wherever they come from."""
    names = [name for name in READ if (folder / name).is_file()]
    inner = [path for part in PARTS for path in folder.glob(f"{part}/**/*") if path.is_file()]
    names += [path.relative_to(folder).as_posix() for path in inner if not path.name.startswith(".")]
    return sorted(names)


def digest_of_run(folder: Path) -> str:
    """SHA-256 over all files that loading a run reads, in hexadecimal digits."""
    whole = hashlib.sha256()
    for path in _loaded(folder):
        if path.is_file() and path.name not in ABOUT:
            whole.update(f"{path.relative_to(folder).as_posix()} {digest_of(path)}\n".encode())
    return whole.hexdigest()


DECIDING = ("run.yaml", "processor_config.json", "model.safetensors", "blend.json")
"""Files of the folder itself that decide what a run answers, whichever version saved them."""
LEARNED = (".safetensors", ".npz", ".txt")
"""What candidates of a blend learned, by the extension of their files."""


def identity_of(folder: Path) -> str:
    """SHA-256 over the declaration, the readers and the models of a run, in hexadecimal digits."""
    whole = hashlib.sha256()
    own = [folder / name for name in DECIDING if (folder / name).is_file()]
    learned = [path for path in sorted(folder.glob("candidates/**/*")) if path.suffix in LEARNED]
    for path in [*own, *learned]:
        whole.update(f"{path.relative_to(folder).as_posix()} {digest_of(path)}\n".encode())
    return whole.hexdigest()


def check_agreement(config: Any, processor: Any, folder: Path) -> None:
    """Check that the processor's readers and targets match the model's encoders and heads.

    Raises:
        RunError: Naming the input and the setting.
    """
    for entry in config.inputs:
        encoder, reader = config.encoders[entry["encoder"]], processor.readers[entry["name"]]
        for name, (built, made) in _compared(encoder, reader).items():
            if built != made:
                differs = f"input '{entry['name']}' has {name} {built} in config.json and {made}"
                raise RunError(f"{folder}: {differs} in processor_config.json. Fit again")
        known = _vocabulary(encoder)
        if known is not None and (token := _last_special(reader.part)) >= known:
            differs = f"input '{entry['name']}' has a tokenizer with token {token}, and {known} tokens"
            raise RunError(f"{folder}: {differs} in config.json. Fit again")
    for head in getattr(config, "heads", ()):
        target = processor.targets.get(head["name"])
        if target is not None and "classes" in head and list(target.classes) != list(head["classes"]):
            differs = f"target '{head['name']}' has other classes in config.json"
            raise RunError(f"{folder}: {differs} than in processor_config.json. Fit again")


def _vocabulary(encoder: dict[str, Any]) -> int | None:
    """Vocabulary size of a text encoder's backbone; None if its configuration does not declare one."""
    backbone = encoder.get("backbone")
    if encoder.get("kind") != TextReader.modality or not isinstance(backbone, dict):
        return None
    size = backbone.get("vocab_size") or (backbone.get("text_config") or {}).get("vocab_size")
    return size if isinstance(size, int) else None


UNKNOWN = 2**31
"""Token id that no vocabulary has, used where the tokenizer lacks the special token."""


def _last_special(tokenizer: Any) -> int:
    """Largest id of a special token; :data:`UNKNOWN` where the vocabulary lacks one."""
    try:
        numbers = getattr(tokenizer, "all_special_ids", ())
    except RecursionError:  # it looks for the unknown token in place of the unknown token
        return UNKNOWN
    return max((number for number in numbers if number is not None), default=0)


def _compared(encoder: dict[str, Any], reader: Any) -> dict[str, tuple[Any, Any]]:
    """By setting, the value of the encoder and that of the reader, for settings that both declare."""
    both: dict[str, tuple[Any, Any]] = {}
    if encoder.get("kind") in READERS:  # the kind of a plugin's encoder need not be a modality
        both["modality"] = encoder["kind"], reader.modality
    for name in ("features", "size", "rate", "seconds", "frames", "length"):
        if encoder.get(name) is not None and hasattr(reader, name) and reader.part is None:
            both[name] = encoder[name], getattr(reader, name)
    if "categories" in encoder and hasattr(reader, "categories"):
        both["categories"] = encoder["categories"], len(reader.categories)
    return both


_loading, _lock = 0, Lock()
_before = False


@contextmanager
def without_hub() -> Iterator[None]:
    """Set the Hugging Face hub offline inside the block, whatever a file may name."""
    global _loading, _before
    with _lock:
        if _loading == 0:
            _before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
        _loading += 1
    try:
        yield
    finally:
        with _lock:
            _loading -= 1
            if _loading == 0:
                constants.HF_HUB_OFFLINE = _before
