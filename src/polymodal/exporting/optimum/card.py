"""The ``README.md`` of an export to Optimum's layout: its files, and a program that answers with them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from string import Template
from typing import Any

from huggingface_hub import ModelCardData

from polymodal.data.chat.messages import SYSTEM, USER
from polymodal.data.chat.skeletons import Mark, Skeletons
from polymodal.errors import LONGEST, one_line
from polymodal.exporting.onnx.converting import weights_beside
from polymodal.exporting.optimum.comparing import QUESTION
from polymodal.exporting.optimum.decoding import ExportedWords
from polymodal.exporting.optimum.layout import EMBEDDING, ONNX
from polymodal.report.model_card import base_models, cell
from polymodal.runs.generation_run import GenerationRun
from polymodal.utils.records import JsonObject
from polymodal.utils.version import __version__

TEXT = """---
{header}
---

# {name}

The polymodal run {name} as ONNX, in the folder layout of Optimum and transformers.js. Written by polymodal
{version}, which it does without.

| file | takes | gives |
|---|---|---|
{files}

A name in place of a size is free: `batch_size` rows, padded on the left, `past_sequence_length` from 0.
`present` of one call is `past_key_values` of the next.{loading}

{items}## Answer

With numpy, onnxruntime and tokenizers, greedily:

```python
{program}
```

`generation_config.json` has the settings of the run's own decoding, `chat_template.jinja` the chat template.
"""
KINDS = {"float": "float32", "double": "float64"}
"""NumPy's types by those of onnxruntime, where they have other names."""
OPTIMUM = "\n`ORTModelForCausalLM` of `optimum-onnx` loads this folder"
LOADS = (f"{OPTIMUM}, and `pipeline` of transformers.js.", f"{OPTIMUM}.")
"""Of weights in the graph's file, and in one of their own, for which transformers.js has another name."""
ITEMS = """## Inputs

Each embedding of an item has its placeholder in the prompt: as many as `mask` is true for that item.

| input | encoder | placeholder | of a missing item | the reader's settings |
|---|---|---|---|---|
{rows}

"""
PROGRAM = Template("""\
import json
from pathlib import Path

import numpy as np
from onnxruntime import InferenceSession
from tokenizers import Tokenizer

folder = Path("this folder")
tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
settings = json.loads((folder / "generation_config.json").read_text())
model = InferenceSession(folder / "onnx/$decoder")
prompt = $prompt
$encode
ids = np.array([tokenizer.encode(prompt, add_special_tokens=False).ids])
$embed
past = {
    each.name: np.zeros((1, each.shape[1], 0, each.shape[3]), np.float32)
    for each in model.get_inputs()
    if each.name.startswith("past_key_values")
}
answer = []
while len(answer) < settings["max_new_tokens"]:
    length = ids.shape[1] + len(answer)
    inputs = {"$taken": taken, "attention_mask": np.ones((1, length), np.int64), **past}
$positions    logits, *present = model.run(None, inputs)
    past = dict(zip(past, present))
    scores = logits[0, -1]
    scores[settings.get("suppress_tokens") or []] = -np.inf
    answer.append(int(scores.argmax()))
    if answer[-1] in settings["eos_token_id"]:
        break
    taken = $again
print(tokenizer.decode(answer).strip())""")
ENCODE = Template("""
# $modality of $input, as arrays: here zeros of one item
tensors = {$tensors}
features, mask = InferenceSession(folder / "onnx/$file").run(None, tensors)
prompt = prompt.replace($placeholder, $placeholder * int(mask.sum()))""")
EMBED = Template("""\
embed = InferenceSession(folder / "onnx/$file")
taken = embed.run(None, {"input_ids": ids})[0]
taken[ids == $placeholder] = features[mask]""")
POSITIONS = '    inputs["position_ids"] = np.arange(length)[None, -taken.shape[1] :]\n'
"""A line of the program."""


def card(run: GenerationRun, words: ExportedWords) -> str:
    """The text of a card."""
    layout = words.layout
    beside = not layout.inputs and weights_beside(words.folder / ONNX / layout.decoder).is_file()
    data = ModelCardData(
        library_name="onnx" if layout.inputs or beside else "transformers.js",
        pipeline_tag="image-text-to-text" if layout.inputs else "text-generation",
        tags=["onnx", "polymodal"],
        base_model=base_models(run.declaration) or None,
    )
    return TEXT.format(
        header=data.to_yaml().strip(),
        name=cell(run.folder.resolve().name),
        version=__version__,
        files="\n".join(_row(file, session) for file, session in words.sessions().items()),
        loading="" if layout.inputs else LOADS[beside],
        items=_items(words),
        program=_program(run, words),
    )


def _row(file: str, session: Any) -> str:
    """A row of the table of files."""
    past = [each for each in session.get_inputs() if each.name.startswith("past_key_values")]
    sides = []
    for values, word in ((session.get_inputs(), "past_key_values"), (session.get_outputs(), "present")):
        shown = [_tensor(each) for each in values if not each.name.startswith(f"{word}.")]
        if past:
            last = next(each for each in reversed(values) if each.name.startswith(f"{word}."))
            layers = len(past) // 2 - 1
            shown.append(_tensor(last, f"{word}.0.key … {word}.{layers}.value"))
        sides.append(", ".join(shown))
    return f"| `onnx/{file}` | {sides[0]} | {sides[1]} |"


def _tensor(value: Any, name: str = "") -> str:
    size = ", ".join(str(each) for each in value.shape)
    return f"`{name or value.name}` ({size}) {_kind(value)}"


def _kind(value: Any) -> str:
    """NumPy's type of a tensor."""
    kind = value.type.removeprefix("tensor(").removesuffix(")")
    return KINDS.get(kind, kind)


def _items(words: ExportedWords) -> str:
    rows = [
        f"| {cell(entry.input.name)} | `{entry.file}` | {cell(entry.placeholder)} | {cell(entry.missing)} | "
        f"{cell(entry.modality)}: `{_coded(entry.settings)}` |"
        for entry in words.layout.inputs
    ]
    return ITEMS.format(rows="\n".join(rows)) if rows else ""


def _coded(settings: JsonObject) -> str:
    """As JSON that neither a table nor the marks of code in Markdown end."""
    return json.dumps(settings).replace("|", "\\u007c").replace("`", "\\u0060")


def _program(run: GenerationRun, words: ExportedWords) -> str:
    """The program, which answers a question about an item of the first input."""
    layout, ids = words.layout, "np.array([answer[-1:]])"
    encode, embed = "", "taken = ids"
    for entry in layout.inputs[:1]:
        tensors = ", ".join(_zeros(each) for each in words.sessions()[entry.file].get_inputs())
        encode = ENCODE.substitute(
            modality=one_line(entry.modality, LONGEST), input=json.dumps(entry.input.name),
            tensors=tensors, file=entry.file, placeholder=json.dumps(entry.placeholder, ensure_ascii=False),
        )  # fmt: skip
        embed = EMBED.substitute(file=EMBEDDING, placeholder=entry.placeholder_id)
        ids = f'embed.run(None, {{"input_ids": {ids}}})[0]'
    prompt = prompt_of(run, [each.placeholder for each in layout.inputs[:1]])
    return PROGRAM.substitute(
        decoder=layout.decoder, prompt=json.dumps(prompt, ensure_ascii=False), encode=encode, embed=embed,
        taken=layout.takes[0], positions=POSITIONS if layout.positions else "", again=ids,
    )  # fmt: skip


def _zeros(value: Any) -> str:
    """A tensor of one item in NumPy; lengths that are free are 1."""
    shape = tuple(1 if isinstance(size, str) else size for size in value.shape)
    return f'"{value.name}": np.zeros({shape}, np.{_kind(value)})'


def prompt_of(run: GenerationRun, placeholders: Sequence[str]) -> str:
    """The text of a prompt: the run's system message, if it has one, then items and a question.

    Args:
        run: The run.
        placeholders: Of the items.
    """
    system, content = run.generation.system, "\n".join([*placeholders, QUESTION])
    roles, texts = ((SYSTEM, USER), (system, content)) if system else ((USER,), (content,))
    pieces = Skeletons(run.processor.tokenizer).of(roles, True).pieces
    return "".join(
        texts[piece] if isinstance(piece, int) else piece for piece in pieces if not isinstance(piece, Mark)
    )
