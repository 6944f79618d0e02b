"""Export of a text tower, an image tower or both as a ``SentenceTransformer``.

That library has modules for the last steps of a tower: the mean of the tokens (``Pooling``) and normalization
(``Normalize``). It has none for the steps before: networks from scratch, pooled token grids, position and
segment embeddings after the encoder, a LayerNorm per token, a projection per modality. These are
:class:`Towers`, a module of ours. ``modules.json`` names it, so that loading the folder needs polymodal and
``trust_remote_code=True``: without that, version 6 of the library imports no external class.

It cannot express several inputs of one modality (it identifies inputs by modality), numbers, categories and
feature sequences, rows of several inputs and their fused vector, missing inputs, and predictions. Audio and
video are not exported either: their tensors (a waveform and its length, frames named like images) are not
those that its trainer and its batches by modality expect.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import InputModule, Normalize
from sentence_transformers.sentence_transformer.modules import Pooling
from torch import Tensor

from polymodal.data.processor import PolymodalProcessor
from polymodal.errors import DataError, Problem, RunError
from polymodal.exporting.formats import Exported
from polymodal.exporting.sample_modality import MESSAGE, read_sample, with_prompt
from polymodal.exporting.tower_card import tower_card
from polymodal.exporting.tower_inputs import TEXT, TOWERS, choose_inputs
from polymodal.exporting.towers import TowerModel
from polymodal.runs.prediction_run import PredictionRun
from polymodal.utils.atomic import folder_aside, write_text
from polymodal.utils.records import JsonObject
from polymodal.utils.version import __version__

SETTINGS = "config_sentence_transformers.json"


class Towers(InputModule):
    """From texts and images to ``token_embeddings`` ``(inputs, length, space)`` and ``attention_mask``.

    Args:
        model: The towers.
        processor: Their processor; one input per modality.
    """

    def __init__(self, model: TowerModel, processor: PolymodalProcessor) -> None:
        super().__init__()
        self.model, self.processor = model, processor
        self.inputs = {reader.modality: name for name, reader in processor.readers.items()}

    @property
    def modalities(self) -> list[Any]:
        """The modalities; ``message`` allows texts and images in one list."""
        return [*self.inputs, MESSAGE] if len(self.inputs) > 1 else list(self.inputs)

    def preprocess(
        self, inputs: Sequence[Any], prompt: str | None = None, task: str | None = None, **options: Any
    ) -> dict[str, Tensor]:
        """Tensors of ``inputs``; with several modalities also ``<modality>_row``.

        Raises:
            DataError: If an input is empty, of another modality, or unreadable.
            ValueError: If there are options, which are those of Transformers' processors.
        """
        if any(value is not None for value in options.values()):
            raise ValueError(f"these towers have no options for reading: {', '.join(options)}")
        read = self.processor.collate([self._read(sample, prompt) for sample in inputs])
        features: dict[str, Tensor] = {}
        for modality, name in self.inputs.items():
            if name in read:
                row = read[name].pop("row")
                features |= read[name]
                if len(read) > 1 or len(row) != len(inputs):
                    features[f"{modality}_row"] = row
        return features

    def _read(self, sample: Any, prompt: str | None) -> dict[str, object]:
        modality, cell = read_sample(sample, self.modalities)
        if prompt and modality == TEXT:
            cell = with_prompt(cell, prompt)
        kept = self.processor.read(self.inputs[modality], cell)
        if kept is None:
            raise DataError(Problem(found=f"an empty {modality}", expected="one that holds something"))
        return {self.inputs[modality]: kept}

    def forward(self, features: dict[str, Any], **kwargs: Any) -> dict[str, object]:
        """Add the token embeddings to the tensors of :meth:`preprocess`."""
        values = {}
        for modality, name in self.inputs.items():
            first, *_ = names = TOWERS[modality].tensors
            if first in features:
                tensors = {key: self._typed(features[key]) for key in names if key in features}
                every = torch.arange(len(tensors[first]), device=tensors[first].device)
                values[name] = tensors | {"row": features.get(f"{modality}_row", every)}
        tokens, mask = self.model(values)
        return {**features, "token_embeddings": tokens, "attention_mask": mask.long()}

    def _typed(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.model.dtype) if tensor.is_floating_point() else tensor

    def get_embedding_dimension(self) -> int:
        """Width of the shared space."""
        return int(self.model.config.space)

    def get_config_dict(self) -> JsonObject:
        """The inputs by modality, for the printed module."""
        return dict(self.inputs)

    @property
    def _text_reader(self) -> Any:
        return self.processor.readers.get(self.inputs.get(TEXT, ""))

    @property
    def tokenizer(self) -> Any:  # type: ignore[override]
        """The tokenizer of the text input; None without one."""
        return self._text_reader.part if self._text_reader else None

    @property
    def max_seq_length(self) -> int | None:
        """Most tokens of a text; None without a text input."""
        return self._text_reader.max_length if self._text_reader else None

    def save(self, output_path: str, *args: Any, safe_serialization: bool = True, **kwargs: Any) -> None:
        """Write model and processor; the weights are always safetensors."""
        self.model.save_pretrained(output_path)
        self.processor.save_pretrained(output_path)

    @classmethod
    def load(  # type: ignore[override]
        cls,
        model_name_or_path: str,
        subfolder: str = "",
        token: bool | str | None = None,
        cache_folder: str | None = None,
        revision: str | None = None,
        local_files_only: bool = False,
        model_kwargs: dict[str, Any] | None = None,
        backend: str = "torch",
        **kwargs: Any,
    ) -> Towers:
        """Load what :meth:`save` wrote, from a folder or the hub.

        Raises:
            RunError: If a file or a weight is missing.
            ValueError: If the backend is not ``torch``.
        """
        if backend != "torch":
            raise ValueError(f"these towers run in torch, not in '{backend}'")
        folder = cls.load_dir_path(
            model_name_or_path, subfolder, token, cache_folder, revision, local_files_only
        )
        model, result = TowerModel.from_pretrained(
            folder, output_loading_info=True, **(model_kwargs or {}) | {"trust_remote_code": False}
        )
        if result["missing_keys"]:
            raise RunError(f"{folder}: model.safetensors does not hold {sorted(result['missing_keys'])[0]}")
        return cls(model.eval(), PolymodalProcessor.from_pretrained(str(folder)))


def write(run: PredictionRun, folder: Path, inputs: Sequence[str]) -> Exported:
    """Write the towers of a text and an image input of ``run`` to ``folder``.

    Raises:
        RunError: If they cannot be expressed; see :func:`choose_inputs`.
    """
    chosen = choose_inputs(run, inputs, tuple(TOWERS), "sentence-transformers")
    names = [name for name in run.model.config.input_names if name in chosen.values()]
    towers = TowerModel.taken_from(run.model.model, names)
    processor = PolymodalProcessor(
        {name: run.processor.readers[name] for name in names}, missing=run.processor.missing
    )
    with folder_aside(folder, last="modules.json") as part:
        made = assemble(Towers(towers, processor))
        made.save_pretrained(str(part), create_model_card=False)
        settings = json.loads((part / SETTINGS).read_text(encoding="utf-8"))
        settings["requirements"] = {"polymodal": f">={__version__}"}  # else only an import error
        write_text(part / SETTINGS, json.dumps(settings, indent=2) + "\n")
        write_text(part / "README.md", tower_card(run.folder.name, chosen, made.get_embedding_dimension()))
    left_out = [name for name in run.model.config.input_names if name not in names]
    usage = f"SentenceTransformer({str(folder)!r}, trust_remote_code=True)"
    return Exported(folder, chosen, left_out, usage)


def assemble(towers: Towers) -> SentenceTransformer:
    """Towers, then that library's pooling and normalization, on the towers' device."""
    modules = [towers, Pooling(towers.get_embedding_dimension(), "mean"), Normalize()]
    return SentenceTransformer(modules=modules, device=str(towers.model.device), similarity_fn_name="cosine")
