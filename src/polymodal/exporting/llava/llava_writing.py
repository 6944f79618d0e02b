"""Write a run to a folder that ``LlavaForConditionalGeneration`` and ``AutoProcessor`` load."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCardData

from polymodal.data.chat.chat_tokenizer import placeholders_of
from polymodal.data.readers import ImageReader, TextReader
from polymodal.errors import RunError, did_you_mean
from polymodal.exporting.decoding_settings import decoding_settings
from polymodal.exporting.formats import Exported
from polymodal.exporting.llava.assembling import to_llava
from polymodal.exporting.llava.expressible import check_fits
from polymodal.report.model_card import base_models
from polymodal.runs.generation_run import GenerationRun
from polymodal.utils.atomic import folder_aside, write_text
from polymodal.utils.version import __version__


def write(run: GenerationRun, folder: Path, inputs: Sequence[str]) -> Exported:
    """Write ``run`` to ``folder``.

    Raises:
        RunError: If LLaVA cannot express it, a requested input does not exist, or the settings of decoding
            cannot be written.
    """
    settings = decoding_settings(run)
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
    made.generation_config = settings
    with folder_aside(folder, last="config.json") as aside:
        made.save_pretrained(aside)
        processor.save_pretrained(aside)
        processor.image_processor.save_pretrained(aside)  # for older versions of other libraries
        write_text(aside / "README.md", llava_card(run, missing))
    usage = f"LlavaForConditionalGeneration.from_pretrained({str(folder)!r})"
    return Exported(folder, {ImageReader.modality: name}, usage=usage)


def between_parts(run: GenerationRun) -> str:
    """The text that the run writes between an image and the text after it in a message."""
    image, text = ImageReader.modality, TextReader.modality  # types of parts have the same names
    content: Any = [{"type": image, "path": "picture"}, {"type": text, text: "a"}]
    (message,) = run.conversation([{"role": "user", "content": content}])
    return message.text.removesuffix("a")


TEXT = """---
{header}
---

# {name}

The polymodal run `{name}` as a LLaVA checkpoint. Written by polymodal {version}, which it does without.

```python
from transformers import AutoProcessor, LlavaForConditionalGeneration

folder = "this folder"
processor = AutoProcessor.from_pretrained(folder)
model = LlavaForConditionalGeneration.from_pretrained(folder)
content = [{{"type": "image", "path": "a.png"}}, {{"type": "text", "text": "What is it?"}}]
messages = [{system}{{"role": "user", "content": content}}]
prompt = processor.apply_chat_template(
    messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
)
made = model.generate(**prompt)
print(processor.decode(made[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True))
```

`vllm serve "this folder"` serves it, under OpenAI's interface. Where a question lacks its picture, the token
`{missing}` in the picture's place, as in training.
"""


def llava_card(run: GenerationRun, missing: str) -> str:
    """The text of a card.

    Args:
        run: The exported run.
        missing: The token of a missing image.
    """
    data = ModelCardData(
        library_name="transformers",
        pipeline_tag="image-text-to-text",
        tags=["llava", "polymodal"],
        base_model=base_models(run.declaration) or None,
    )
    message = run.generation.system
    system = f'{{"role": "system", "content": {json.dumps(message)}}}, ' if message else ""
    return TEXT.format(
        header=data.to_yaml().strip(),
        name=run.folder.name,
        version=__version__,
        system=system,
        missing=missing,
    )
