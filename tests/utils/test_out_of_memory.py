"""Which errors mean that memory was too small."""

import pytest
import torch

from polymodal.utils.out_of_memory import is_out_of_memory


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("could not create a primitive"),
        MemoryError(),
    ],
    ids=["gpu", "cpu", "oneDNN", "python"],
)
def test_memory_that_is_too_small(error):
    assert is_out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError(
            "could not create a primitive descriptor for a convolution forward propagation primitive"
        ),
        RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED. This error may appear"),
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        ValueError("could not create a primitive"),
    ],
    ids=["descriptor", "form", "shapes", "value"],
)
def test_other_errors(error):
    assert not is_out_of_memory(error)
