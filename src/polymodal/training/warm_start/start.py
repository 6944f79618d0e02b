"""``start: RUN`` (``--from``): the run whose encoders, embedding and fusion are fine-tuned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from polymodal.artifact.capabilities import Capability, Kind, require
from polymodal.artifact.integrity import check_agreement
from polymodal.artifact.run_folder import NEURAL, kind_of, neural_folder, require_files
from polymodal.artifact.weights import load_model
from polymodal.config import Declaration, InputConfig
from polymodal.config.parsing import load_yaml, located
from polymodal.data.chat.chat_processor import ConversationProcessor
from polymodal.data.processor import PolymodalProcessor
from polymodal.data.readers import Reader
from polymodal.data.tables.table import Table
from polymodal.errors import ConfigError, RunError, option
from polymodal.models.configuration import PolymodalConfig
from polymodal.models.language.language_configuration import PolymodalLanguageConfig
from polymodal.models.language.language_modeling import PolymodalForConditionalGeneration
from polymodal.models.modeling import PolymodalModel
from polymodal.training.declaration.source import Declared, require_start_folder, resolve_start
from polymodal.training.output_folder import SEVERAL
from polymodal.utils.json_files import read_json

KINDS = ("PolymodalModel", "PolymodalForPrediction", "PolymodalForPreTraining")
"""Classes of models with encoders, embedding and fusion."""


@dataclass
class Start:
    """The run that a fit starts from, without its weights.

    Attributes:
        name: Its name in the declaration.
        folder: Its folder.
        declaration: Its declaration.
        config: The configuration of its model.
        processor: Its processor.
        speaks: Whether its language model is fine-tuned as well.
        dropped: Its inputs that the fit does not use, each with the reason.
    """

    name: str
    folder: Path
    declaration: Declaration
    config: PolymodalConfig | PolymodalLanguageConfig
    processor: PolymodalProcessor
    speaks: bool = False
    dropped: dict[str, str] = field(default_factory=dict)

    @property
    def kind(self) -> Kind:
        """What the run answers with."""
        return kind_of(self.folder)

    @property
    def inputs(self) -> list[str]:
        """Its inputs, in order."""
        return self.config.input_names

    @property
    def encoders(self) -> dict[str, dict[str, Any]]:
        """By input the settings of its encoder: see :func:`polymodal.models.encoders.build_encoder`."""
        return {entry["name"]: self.config.encoders[entry["encoder"]] for entry in self.config.inputs}

    def sharing(self, name: str) -> list[str]:
        """The inputs that share the encoder of ``name``, itself among them."""
        index = {entry["name"]: entry["encoder"] for entry in self.config.inputs}
        return [other for other in self.inputs if index[other] == index[name]]

    def readers(self, train: Table, inputs: Mapping[str, InputConfig]) -> dict[str, Reader]:
        """The run's readers of ``inputs``, for cells as declared, with the new categories of ``train``."""
        known: dict[str, Reader] = {}
        copies: dict[str, Reader] = {}
        for name in inputs:
            if name not in self.inputs:
                continue
            reader = self.processor.readers[name]
            first = self.processor.groups[name]
            if first not in copies:
                copies[first] = reader.declared(inputs[name], train.missing)
            made = known[name] = copies[first]
            if made.vocabulary is not None and name in train.columns:
                known[name] = made.grown(train.values(name))
        return known

    def model(self) -> PolymodalModel:
        """The run's encoders, embedding and fusion, with their weights.

        Raises:
            RunError: If these cannot be read.
        """
        return load_model(self.folder, PolymodalModel)

    def speaker(self) -> PolymodalForConditionalGeneration:
        """The model of a run of answers in words, its adapters merged.

        Raises:
            RunError: If it cannot be read.
        """
        model = load_model(self.folder, PolymodalForConditionalGeneration)
        model.merge()
        return model


def open_declared_start(declared: Declared, *, words: bool = False) -> Start | None:
    """The run that a declaration starts from; what is no path is refused when it is parsed.

    Args:
        declared: The sections.
        words: Whether the fit is of answers in words, which may start from such a run too.
    """
    name = declared.values.get("start")
    if not isinstance(name, str):
        return None
    with located(declared.written, declared.lines, "start"):
        return open_start(name, resolve_start(name, declared.folder), words=words)


def open_start(name: str, folder: Path, *, words: bool = False) -> Start:
    """The run in ``folder``, to start from.

    Raises:
        RunError: If there is none, it is incomplete or of a newer format, or has no encoders and fusion.
    """
    require_start_folder(folder)
    folder = neural_folder(folder)
    written = folder / "config.json"
    if words and written.is_file() and kind_of(folder) is Kind.words:
        return _language_start(name, folder)
    kind = _kind(written) if written.is_file() else ""
    if kind is None:
        if kind_of(folder) is Kind.words:
            require(Kind.words, Capability.start, folder)
        raise RunError(
            f"{folder}: is no run of polymodal. Give the folder that a fit or a pre-training wrote"
        )
    if any((folder / several).exists() for several in SEVERAL):
        raise RunError(f"{folder}: holds several runs. Give the folder of one of them")
    require_files(folder)
    if kind not in KINDS:
        raise RunError(f"{folder}: is a run of {kind}, which has no encoders, embedding and fusion to go on")
    config = load_config(folder)
    processor, declaration = PolymodalProcessor.from_pretrained(folder), load_yaml(folder / "run.yaml")
    if not config.input_names == list(processor.readers) == list(declaration.inputs):
        raise RunError(f"{folder}: config.json, processor_config.json and run.yaml are of different runs")
    check_agreement(config, processor, folder)
    return Start(name, folder, declaration, config, processor)


def _language_start(name: str, folder: Path) -> Start:
    """A run of answers in words, to start from."""
    require_files(folder)
    with reading_model(folder):
        config = PolymodalLanguageConfig.from_pretrained(str(folder), trust_remote_code=False)
    processor, declaration = ConversationProcessor.from_pretrained(folder), load_yaml(folder / "run.yaml")
    if not config.input_names == list(processor.readers) == list(declaration.inputs):
        raise RunError(f"{folder}: config.json, processor_config.json and run.yaml are of different runs")
    check_agreement(config, processor, folder)
    return Start(name, folder, declaration, config, processor)


@contextmanager
def reading_model(folder: Path) -> Iterator[None]:
    """Inside, a configuration that cannot be read is one line.

    Raises:
        RunError: If it cannot, or is of a newer format.
    """
    try:
        yield
    except RunError as error:
        raise RunError(f"{folder}: {error}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise RunError(f"{folder}: the model cannot be read ({reason})") from None


def load_config(folder: Path) -> PolymodalConfig:
    """The configuration of a run's model.

    Raises:
        RunError: If it cannot be read, or is of a newer format.
    """
    with reading_model(folder):
        return PolymodalConfig.from_pretrained(str(folder), trust_remote_code=False)


def _kind(written: Path) -> str | None:
    """The class of the model in a ``config.json``; None if it is not of polymodal."""
    try:
        values = read_json(written)
        is_ours = values["model_type"] == PolymodalConfig.model_type
        return str(values["architectures"][0]) if is_ours else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def refuse_own_start(start: Start | None, folder: Path, *, several: bool = False) -> None:
    """Refuse to overwrite the run that is fine-tuned from.

    Args:
        start: The run.
        folder: Output folder of the run, or of several runs.
        several: Whether each run has its own folder in ``folder``.

    Raises:
        RunError: If the run is in ``folder``.
    """
    if start is None:
        return
    own = start.folder.resolve()
    whole = own.parents[1] if own.parts[-2:] == NEURAL.parts else own  # of a blend
    if folder.resolve() in ((whole, whole.parent) if several else (whole, own)):
        raise RunError(f"{folder}: holds the run to start from. Give another folder with -o")


def require_common(start: Start, names: Sequence[str], table: str) -> None:
    """Check that the fit and the run have inputs in common.

    Raises:
        ConfigError: If the run reads none of the inputs ``names``.
    """
    if not set(names) & set(start.inputs):
        reads = ", ".join(f"'{name}'" for name in start.inputs)
        reason = f"nothing to load from {start.folder}: "
        reason += (
            f"it reads {reads}, and {table} gives none of these"
            if reads
            else "it has no encoder, and its language model is not the declared one"
        )
        raise ConfigError(f"{reason}. Leave 'start' ({option('start')}) out")
