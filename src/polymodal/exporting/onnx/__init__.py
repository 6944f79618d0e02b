"""Export of a run with heads to ONNX: ``model.onnx`` and all that :mod:`polymodal.runtime` needs beside it.

The graph holds what the model does with tensors: encoders, embedding, fusion and heads. Its numbers of
rows and of items a cell are free, and where the encoder allows the length of texts and sequences. Readers,
tokenizer and decoders lie beside it as JSON.
"""

from polymodal.exporting.onnx.writing import write

__all__ = ["write"]
