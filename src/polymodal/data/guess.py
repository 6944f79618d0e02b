"""The old name of :mod:`polymodal.data.schema.infer`, kept for one release."""

import warnings

from polymodal.data.schema.infer import guess_modality, guess_target

__all__ = ["guess_modality", "guess_target"]
warnings.warn("polymodal.data.guess is now polymodal.data.schema.infer", DeprecationWarning, stacklevel=2)
