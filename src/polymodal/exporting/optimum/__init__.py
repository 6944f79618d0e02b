"""Export of a run that answers in words as ONNX, in the folder layout of Optimum and transformers.js.

A run that reads text alone is one file, ``onnx/model.onnx``, from token ids to logits. One with other inputs
has the files of a multimodal model: ``embed_tokens.onnx``, an encoder with its connector per input, and
``decoder_model_merged.onnx``, from embeddings to logits. Keys and values of earlier tokens go in and out.
"""

from polymodal.exporting.optimum.writing import write

__all__ = ["write"]
