"""A run that answers in words as a LLaVA checkpoint: the form in which Transformers, vLLM and others load it.

LLaVA (Liu et al. 2023, 2024) is a picture encoder, two linear layers with GELU between them, and a language
model: what :class:`PolymodalForConditionalGeneration` is with one picture input, a hidden layer of CLIP or
SigLIP, and the connector ``mlp``. What it cannot express is refused before anything is written.
"""

from polymodal.exporting.llava.assembling import to_llava
from polymodal.exporting.llava.llava_writing import write

__all__ = ["to_llava", "write"]
