"""From a run's model to a file of ONNX."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnx_ir
import onnxscript  # noqa: F401 - which torch's exporter imports
import torch
from onnx import load_model
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import nn
from torch.export import Dim, ExportedProgram

from polymodal.data.readers import Reader
from polymodal.errors import RunError
from polymodal.exporting.onnx.graph import Example, Graph, example, input_entry
from polymodal.runs.prediction_run import PredictionRun
from polymodal.runtime.manifest import InputEntry

LOG = logging.getLogger(__name__)

ROUNDED = ("MatMul", "Gemm")
"""Operations whose weights int8 rounds: convolutions are slower with such weights."""
WEIGHTS = QuantType.QUInt8
"""Eight bits without a sign. Signed ones are a fifth faster, and wrong on processors without VNNI: 16 bits
are too few there for the sum of two products of the largest values."""


def convert(run: PredictionRun, path: Path) -> list[InputEntry]:
    """Write the model of a run as one file.

    Returns:
        The inputs that it takes.

    Raises:
        RunError: If PyTorch cannot record the model for any number of rows, or ONNX lacks an operation.
    """
    readers = run.processor.readers
    entries = [input_entry(name, reader) for name, reader in readers.items()]
    graph = Graph(run.model, entries).eval()
    return convert_graph(run.folder, graph, entries, list(readers.values()), path)


def convert_graph(
    source: Path, graph: nn.Module, entries: Sequence[InputEntry], readers: Sequence[Reader], path: Path
) -> list[InputEntry]:
    """Write a graph that is called with the tensors of inputs as one file.

    Args:
        source: The run, for messages.
        graph: In evaluation mode; takes what :func:`example` makes.
        entries: Its inputs.
        readers: Of these.
        path: Of the file.

    Returns:
        The inputs that it takes.

    Raises:
        RunError: If PyTorch cannot record it for any number of rows, or ONNX lacks an operation.
    """
    shown = example(entries, readers)
    ways = [shown, shown.of_one_length()]
    program = first_possible(source, [partial(record, graph, way) for way in ways])
    free = free_sizes(program)
    if fixed := [name for name, own in zip(shown.names, free, strict=True) if not own[0]]:
        reason = f"its model can be recorded for one number of rows alone (tensor {fixed[0]})"
        raise RunError(f"{source}: {reason}. Serve the run itself")
    first_possible(source, [partial(save, program, shown.names, path)])
    return shown.taken(entries, free)


def first_possible(source: Path, ways: Sequence[Callable[[], Any]]) -> Any:
    """The result of the first of several ways that is possible.

    Raises:
        RunError: If none is.
    """
    for way in ways[:-1]:
        try:
            return way()
        except Exception as error:  # torch.export raises many classes; the next way has fixed lengths
            LOG.debug("%s: another way to record the model is tried: %s", source, error)
    try:
        return ways[-1]()
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        fix = "Fit with other encoders or another fusion, or serve the run itself"
        raise RunError(f"{source}: its model cannot be converted to ONNX ({reason}). {fix}") from error


def record(graph: nn.Module, shown: Example) -> ExportedProgram:
    """Record the graph with the dimensions that are free.

    Raises:
        Exception: Of many classes, if it cannot be recorded.
    """
    dims = [dict.fromkeys(free, Dim.AUTO) for free in shown.free]
    with torch.no_grad(), quiet_exporters():
        return torch.export.export(graph, (shown.tensors,), dynamic_shapes=(dims,), strict=False)


def free_sizes(program: ExportedProgram) -> list[list[bool]]:
    """Per tensor whether each of its dimensions is free in what was recorded."""
    names = set(program.graph_signature.user_inputs)
    nodes = [node for node in program.graph.nodes if node.op == "placeholder" and node.name in names]
    return [[_is_free(size) for size in node.meta["val"].shape] for node in nodes]


def _is_free(size: int | torch.SymInt) -> bool:
    """Whether a size is no number: a free one may have become a number while the graph was recorded."""
    return isinstance(size, torch.SymInt) and size.node.maybe_as_int() is None


def save(
    program: ExportedProgram,
    names: Sequence[str],
    path: Path,
    outputs: Sequence[str] | None = None,
    axes: Mapping[str, Mapping[int, str]] | None = None,
) -> None:
    """Write what was recorded as one file; weights above 1.5 GiB go to :func:`weights_beside`.

    Args:
        program: What was recorded.
        names: Of its inputs.
        path: Of the file.
        outputs: Names of its outputs.
        axes: By input or output the names of its free dimensions.

    Raises:
        Exception: Of many classes, if an operation has no counterpart in ONNX.
    """
    with quiet_exporters():
        made = torch.onnx.export(
            program, dynamo=True, input_names=list(names), output_names=outputs, verbose=False
        )
        assert made is not None
        _name_axes([*made.model.graph.inputs, *made.model.graph.outputs], axes or {})
        made.save(path)


def _name_axes(values: Sequence[onnx_ir.Value], axes: Mapping[str, Mapping[int, str]]) -> None:
    """Give free dimensions their names, in place of those that PyTorch chose."""
    for value in values:
        named = axes.get(value.name or "", {})
        if value.shape is not None and named:
            sizes = [size if isinstance(size, int) else named.get(at) for at, size in enumerate(value.shape)]
            value.shape = onnx_ir.Shape(sizes)


def round_weights(path: Path) -> None:
    """Write a model again with weights of matrix products in 8 bits; what they meet is rounded too.

    A model whose weights lie in a file of their own has such a file again.
    """
    beside = weights_beside(path)
    with TemporaryDirectory(dir=path.parent) as folder:
        rounded = Path(folder) / path.name  # the name that the model has for its weights depends on it
        with quiet_exporters():
            quantize_dynamic(
                load_model(path), rounded, op_types_to_quantize=list(ROUNDED), weight_type=WEIGHTS,
                use_external_data_format=beside.is_file(),
            )  # fmt: skip
        beside.unlink(missing_ok=True)
        for written in sorted(Path(folder).iterdir()):
            written.replace(path.with_name(written.name))


def weights_beside(path: Path) -> Path:
    """The file of the weights of a model that is too large for one file."""
    return path.with_name(f"{path.name}.data")


@contextmanager
def quiet_exporters() -> Iterator[None]:
    """Inside, the exporters' remarks on libraries that no run needs are not shown."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
