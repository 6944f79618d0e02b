"""A run → a folder that ``LlavaForConditionalGeneration`` and ``AutoProcessor`` load."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from polymodal.data.chat.chat_tokenizer import placeholders_of
from polymodal.data.readers import ImageReader, TextReader
from polymodal.errors import RunError, did_you_mean
from polymodal.exporting.formats import Exported
from polymodal.exporting.llava.assembling import to_llava
from polymodal.exporting.llava.expressible import check_fits
from polymodal.exporting.llava.llava_card import llava_card
from polymodal.runs.answering import decoding
from polymodal.runs.generation_run import GenerationRun
from polymodal.utils.atomic import folder_aside, write_text


def write(run: GenerationRun, folder: Path, inputs: Sequence[str]) -> Exported:
    """Write ``run`` to ``folder``.

    Raises:
        RunError: If LLaVA cannot express it, or an input was asked for that is not there.
    """
    names = run.model.config.input_names
    for name in inputs:
        if name not in names:
            raise RunError(f"{run.folder}: there is no input '{name}'. {did_you_mean(name, names)}")
    try:
        check_fits(run.model)
        (name,) = names
        part, (placeholder, missing) = run.processor.readers[name].part, placeholders_of(name)
        made, processor = to_llava(
            run.model, run.processor.tokenizer, part, placeholder, between=between_parts(run)
        )
    except RunError as error:
        raise RunError(f"{run.folder}: {error}") from None
    made.generation_config.update(**decoding(run.generation.decoding))
    with folder_aside(folder, last="config.json") as aside:
        made.save_pretrained(aside)
        processor.save_pretrained(aside)
        processor.image_processor.save_pretrained(aside)  # where older versions of others look for it
        write_text(aside / "README.md", llava_card(run, missing))
    usage = f"LlavaForConditionalGeneration.from_pretrained({str(folder)!r})"
    return Exported(folder, {ImageReader.modality: name}, usage=usage)


def between_parts(run: GenerationRun) -> str:
    """What the run writes between a picture and the text behind it in a message."""
    image, text = ImageReader.modality, TextReader.modality  # types of parts have the same names
    content: Any = [{"type": image, "path": "picture"}, {"type": text, text: "a"}]
    (message,) = run.conversation([{"role": "user", "content": content}])
    return message.text.removesuffix("a")
