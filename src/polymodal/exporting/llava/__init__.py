"""Export of a generation run as a LLaVA checkpoint, which Transformers, vLLM and others load.

LLaVA (Liu et al. 2023, 2024) is an image encoder, two linear layers with GELU between them, and a language
model: the same as :class:`PolymodalForConditionalGeneration` with one image input, a hidden layer of CLIP or
SigLIP, and the connector ``mlp``. Other models are refused before anything is written.
"""

from polymodal.exporting.llava.assembling import to_llava
from polymodal.exporting.llava.llava_writing import write

__all__ = ["to_llava", "write"]
