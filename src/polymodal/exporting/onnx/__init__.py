"""Export of a run with heads to ONNX: ``model.onnx`` and all that :mod:`polymodal.runtime` needs beside it.

The graph holds what the model does with tensors: encoders, embedding, fusion and heads. Its number of rows, of
items a cell and, where the encoder allows, the length of texts and sequences are free. Readers, tokenizer and
decoders lie beside it as JSON.
"""

from polymodal.exporting.onnx.writing import write

__all__ = ["write"]
