"""The old name of :mod:`polymodal.data.text_tokenizer`, kept for one release."""

import warnings

from polymodal.data.text_tokenizer import train_tokenizer

__all__ = ["train_tokenizer"]
warnings.warn(
    "polymodal.data.tokenizer is now polymodal.data.text_tokenizer", DeprecationWarning, stacklevel=2
)
