"""The folder of an export to Optimum's layout, written and compared with its run."""

from __future__ import annotations

import copy
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from polymodal.artifact.integrity import identity_of
from polymodal.artifact.run_folder import EXPORTED_WORDS
from polymodal.data.chat.chat_tokenizer import placeholders_of
from polymodal.data.readers import ImageReader
from polymodal.errors import RunError, option
from polymodal.exporting.decoding_settings import decoding_settings
from polymodal.exporting.formats import Exported
from polymodal.exporting.onnx.converting import round_weights
from polymodal.exporting.optimum.card import card
from polymodal.exporting.optimum.comparing import check_same, made_turns, uncompared
from polymodal.exporting.optimum.converting import convert
from polymodal.exporting.optimum.decoding import ExportedWords
from polymodal.exporting.optimum.graphs import item_tensors, past_of, takes_positions
from polymodal.exporting.optimum.layout import ONNX, ItemEntry, Layout, encoder_files
from polymodal.models.encoders.adapters import fold_layers
from polymodal.runs.answering import context_of
from polymodal.runs.generation_run import GenerationRun
from polymodal.runtime.manifest import FP32, INT8, SourceRun
from polymodal.utils.atomic import folder_aside, write_text
from polymodal.utils.checksums import write_whole_sums


def write(run: GenerationRun, folder: Path, inputs: Sequence[str], *, int8: bool = False) -> Exported:
    """Write a run as ONNX for Optimum, transformers.js or any other caller of onnxruntime.

    Args:
        run: That answers in words.
        folder: Empty.
        inputs: None: the prompts need all that the run has.
        int8: Round the weights of the language model's matrix products to 8 bits.

    Raises:
        RunError: If the run cannot be expressed, its logits differ in fp32, or its settings of decoding
            cannot be written.
    """
    if inputs:
        raise RunError(f"{run.folder}: optimum holds all inputs of a run. Leave out {option('inputs')}")
    if run.model.device.type != "cpu":
        run = type(run).load(run.folder, device="cpu")
    words = _merged(run)
    try:
        layout = _layout(run, words, int8)
        made_turns(run.processor, layout.context)  # refused before the conversion if one does not fit
    except RunError as error:
        raise RunError(f"{run.folder}: {error}") from None
    with folder_aside(folder, last=EXPORTED_WORDS) as part:
        write_settings(run, words, part)
        layout = convert(run, words, layout, part)
        if int8:
            round_weights(part / ONNX / layout.decoder)
        layout.write(part)
        exported = ExportedWords(part, threads=1)  # before there are checksums: it would compute them too
        compared = check_same(run, exported, judge=not int8)
        write_text(part / "README.md", card(run, exported))
        write_whole_sums(part)
    named: dict[str, list[str]] = defaultdict(list)
    for entry in layout.inputs:
        named[entry.modality].append(entry.input.name)
    by_modality = {modality: ", ".join(names) for modality, names in named.items()} or {"text": "the prompt"}
    return Exported(
        folder, by_modality, usage=usage(folder, layout), notes=[compared, *uncompared(run.processor)]
    )


def usage(folder: Path, layout: Layout) -> str:
    """A line that loads an export."""
    if layout.inputs:
        return f"see {folder / 'README.md'}"
    return f"optimum.onnxruntime.ORTModelForCausalLM.from_pretrained({str(folder)!r})"


def _merged(run: GenerationRun) -> PreTrainedModel:
    """The language model with its adapters in its weights; the run's own has none, or is not changed."""
    if not run.model.config.lora:
        return run.model.language_model
    merged = copy.deepcopy(run.model.language_model)
    fold_layers(merged)
    return merged


def _layout(run: GenerationRun, words: PreTrainedModel, int8: bool) -> Layout:
    """See :class:`Layout`.

    Raises:
        RunError: If the language model keeps other states than keys and values.
    """
    return Layout(
        run=SourceRun(name=run.folder.resolve().name, identity=identity_of(run.folder)),
        inputs=_inputs(run),
        past=[[tensor.shape[1], tensor.shape[3]] for tensor in past_of(words)],
        positions=takes_positions(words),
        context=context_of(run.model),
        precision=INT8 if int8 else FP32,
    )


def _inputs(run: GenerationRun) -> list[ItemEntry]:
    """The run's inputs.

    Raises:
        RunError: If the reader of one has no item without content to record its encoder with.
    """
    readers = run.processor.readers
    files = encoder_files([reader.modality for reader in readers.values()])
    made = []
    for (name, reader), file in zip(readers.items(), files, strict=True):
        try:
            tensors = item_tensors(name, reader)
        except TypeError:
            kind = type(reader).__name__
            raise RunError(f"the reader of '{name}' ({kind}) has no blank item to record with") from None
        (there, missing), ids = placeholders_of(name), run.processor.placeholders[name]
        made.append(
            ItemEntry(
                input=tensors, modality=reader.modality, file=file,
                features="image_features" if reader.modality == ImageReader.modality else "features",
                placeholder=there, placeholder_id=ids[0], missing=missing, missing_id=ids[1],
                settings=dict(reader.settings()),
            )
        )  # fmt: skip
    return made


def write_settings(run: GenerationRun, words: PreTrainedModel, folder: Path) -> None:
    """Write configuration, decoding settings, tokenizer, and the image processor where there is one.

    Raises:
        RunError: If Transformers refuses to write the decoding settings.
    """
    config: Any = copy.deepcopy(words.config)
    config.architectures, config._name_or_path = [type(words).__name__], ""
    config.dtype = words.dtype
    config.save_pretrained(folder)
    pictures = [reader for reader in run.processor.readers.values() if reader.part is not None]
    alone = len(run.processor.readers) == 1 and pictures and pictures[0].modality == ImageReader.modality
    if alone:
        _write_as_llava(run, folder)
        pictures[0].part.save_pretrained(folder)
    settings: Any = decoding_settings(run)
    if isinstance(settings.eos_token_id, int):
        settings.eos_token_id = [settings.eos_token_id]
    settings.save_pretrained(folder)
    tokenizer: Any = copy.deepcopy(run.processor.tokenizer)
    tokenizer.padding_side = tokenizer.init_kwargs["padding_side"] = "left"  # for generation
    tokenizer.save_pretrained(folder, save_jinja_files=False)  # transformers.js reads no other template
    write_text(folder / "chat_template.jinja", tokenizer.get_chat_template())


def _write_as_llava(run: GenerationRun, folder: Path) -> None:
    """Name the model LLaVA, of which transformers.js reads these files, whatever the encoder is."""
    path = folder / "config.json"
    text = json.loads(path.read_text(encoding="utf-8"))
    (entry,) = run.model.config.inputs
    content = {
        "architectures": ["LlavaForConditionalGeneration"], "model_type": "llava",
        "image_token_index": entry["placeholder"], "text_config": text,
    }  # fmt: skip
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
