"""An export to Optimum's layout whose graph counts: after token t it answers t + 1; made without a fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save

from polymodal.exporting.optimum.layout import IDS, LOGITS, MASK, ONNX, Layout
from polymodal.runtime.manifest import SourceRun
from polymodal.utils.json_files import read_json

HEADS, WIDTH = 2, 4
KEY, VALUE = "past_key_values.0.key", "past_key_values.0.value"


def write_counting_export(folder: Path, vocabulary: int, context: int | None) -> Path:
    """Write one whose answers have at most 12 tokens and never end before; without checksums."""
    layout = Layout(
        run=SourceRun(name="run", identity="0"), inputs=[], past=[[HEADS, WIDTH]] * 2, positions=False,
        context=context,
    )  # fmt: skip
    (folder / ONNX).mkdir(parents=True)
    layout.write(folder)
    (folder / "generation_config.json").write_text(
        '{"max_new_tokens": 12, "eos_token_id": [0], "pad_token_id": 0, "do_sample": false}'
    )
    save(_counting(vocabulary), folder / ONNX / layout.decoder)
    return folder


def change(file: Path, **values: Any) -> None:
    """Set values of a JSON file."""
    file.write_text(json.dumps(read_json(file) | values))


def _counting(vocabulary: int) -> Any:
    next_ones = np.roll(np.eye(vocabulary, dtype=np.float32), 1, axis=1)
    constants = {
        "next": next_ones,
        "nothing": np.zeros((vocabulary, HEADS * WIDTH), np.float32),
        "split": np.array([0, 0, HEADS, WIDTH], np.int64),
    }
    nodes = [
        helper.make_node("Gather", ["next", IDS], [LOGITS]),
        helper.make_node("Gather", ["nothing", IDS], ["flat"]),
        helper.make_node("Reshape", ["flat", "split"], ["by_head"]),
        helper.make_node("Transpose", ["by_head"], ["own"], perm=[0, 2, 1, 3]),
        helper.make_node("Concat", [KEY, "own"], ["present.0.key"], axis=2),
        helper.make_node("Concat", [VALUE, "own"], ["present.0.value"], axis=2),
    ]
    kept = ("rows", HEADS, "before", WIDTH)
    takes = [
        _tensor(IDS, TensorProto.INT64, ("rows", "length")),
        _tensor(MASK, TensorProto.INT64, ("rows", "all")),
    ]
    takes += [_tensor(name, TensorProto.FLOAT, kept) for name in (KEY, VALUE)]
    gives = [_tensor(LOGITS, TensorProto.FLOAT, ("rows", "length", vocabulary))]
    present = ("rows", HEADS, "after", WIDTH)
    gives += [_tensor(name, TensorProto.FLOAT, present) for name in ("present.0.key", "present.0.value")]
    held = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "counting", takes, gives, held)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def _tensor(name: str, kind: int, shape: tuple[str | int, ...]) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)
