"""The ``generation_config.json`` of an export: how the run itself decodes its answers."""

from __future__ import annotations

import copy
from typing import Any

from transformers import GenerationConfig

from polymodal.errors import LONGEST, RunError, one_line
from polymodal.runs.answering import decoding
from polymodal.runs.generation_run import GenerationRun

OF_SAMPLING = (
    "temperature", "top_k", "top_p", "min_p", "top_h", "typical_p", "epsilon_cutoff", "eta_cutoff",
)  # fmt: skip
OF_BEAMS = ("early_stopping", "length_penalty")
OF_OUTPUTS = ("output_attentions", "output_hidden_states", "output_scores", "output_logits")


def decoding_settings(run: GenerationRun) -> GenerationConfig:
    """How a run decodes: the settings of its checkpoint, and over these the declaration's.

    Settings of sampling are left out where nothing is sampled, those of several beams where there is one, and
    those of outputs that are not returned: they change no answer, and Transformers writes no file that holds
    them.

    Raises:
        RunError: If Transformers refuses to write the settings.
    """
    settings: Any = copy.deepcopy(run.model.generation_config)
    settings._from_model_config = False
    settings.update(**decoding(run.generation.decoding))
    unused: tuple[str, ...] = () if settings.do_sample else OF_SAMPLING
    unused += OF_BEAMS if (settings.num_beams or 1) == 1 else ()
    unused += () if settings.return_dict_in_generate else OF_OUTPUTS
    for name in unused:
        setattr(settings, name, None)
    try:
        settings.validate(strict=True)
    except ValueError as error:
        reason = one_line(" ".join(str(error).split()), LONGEST)
        file = run.folder / "generation_config.json"
        raise RunError(f"{file}: Transformers refuses it ({reason}). Correct the file") from None
    return settings
