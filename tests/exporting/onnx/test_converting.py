"""Which sizes are free; weights of 8 bits, in the file of a model or in one of their own."""

import numpy as np
import pytest
import torch

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
pytest.importorskip("onnxscript", reason="onnxscript is not installed")

from polymodal.exporting.onnx.converting import free_sizes, record, round_weights  # noqa: E402
from polymodal.exporting.onnx.graph import Example  # noqa: E402


@pytest.fixture(params=[False, True], ids=["one file", "two files"])
def product(request, tmp_path):
    """A product of matrices, its weights, and whether these lie in a file of their own."""
    weights = np.random.default_rng(0).normal(size=(64, 48)).astype(np.float32)
    return write_product(tmp_path, weights, request.param), weights, request.param


def write_product(folder, weights, apart):
    ends = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["rows", width])
        for name, width in zip("xy", weights.shape, strict=True)
    ]
    node = onnx.helper.make_node("MatMul", ["x", "w"], ["y"])
    graph = onnx.helper.make_graph(
        [node], "g", ends[:1], ends[1:], [onnx.numpy_helper.from_array(weights, "w")]
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
    more = {"save_as_external_data": True, "location": "model.onnx.data"} if apart else {}
    onnx.save_model(model, folder / "model.onnx", **more, **({"size_threshold": 0} if more else {}))
    return folder / "model.onnx"


def test_rounded_weights_replace_those_that_were_there(product):
    path, weights, apart = product
    before = sum(each.stat().st_size for each in path.parent.iterdir())
    round_weights(path)
    files = {each.name for each in path.parent.iterdir()}
    assert "model.onnx" in files and files <= {"model.onnx", "model.onnx.data"}
    stored = onnx.load_model(path, load_external_data=False).graph.initializer
    assert any(each.data_type == onnx.TensorProto.UINT8 for each in stored)
    outside = any(each.data_location == onnx.TensorProto.EXTERNAL for each in stored)
    assert outside == ("model.onnx.data" in files) and (apart or not outside)
    assert not apart or (path.parent / "model.onnx.data").stat().st_size < weights.nbytes < before
    x = np.random.default_rng(1).normal(size=(1, 64)).astype(np.float32)
    (y,) = onnxruntime.InferenceSession(path).run(None, {"x": x})
    assert np.corrcoef(y, x @ weights)[0, 1] > 0.99


def test_sums_of_the_largest_values_are_right_on_every_processor(tmp_path):
    path = write_product(tmp_path, np.ones((64, 8), np.float32), False)
    round_weights(path)
    (y,) = onnxruntime.InferenceSession(path).run(None, {"x": np.ones((2, 64), np.float32)})
    np.testing.assert_allclose(y, 64, rtol=1e-3)


def test_a_size_that_became_a_number_while_it_was_recorded_is_not_free():
    class Sum(torch.nn.Module):
        def forward(self, tensors):
            return [tensors[0] + torch.arange(5.0)]

    program = record(Sum(), Example([torch.zeros(3, 5)], ["0.x"], [[0, 1]]))
    assert free_sizes(program) == [[True, False]]
