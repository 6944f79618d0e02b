"""The ``README.md`` of an exported model, as the hub reads it."""

from __future__ import annotations

import json

from huggingface_hub import ModelCardData

from polymodal.report.model_card import base_models
from polymodal.runs.generation_run import GenerationRun
from polymodal.utils.version import __version__

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
asked = processor.apply_chat_template(
    messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
)
made = model.generate(**asked)
print(processor.decode(made[0, asked["input_ids"].shape[1] :], skip_special_tokens=True))
```

`vllm serve "this folder"` serves it, under OpenAI's interface. Where a question lacks its picture, the token
`{missing}` in the picture's place says so, as the model learned it.
"""


def llava_card(run: GenerationRun, missing: str) -> str:
    """The text of a card.

    Args:
        run: That was exported.
        missing: The token that stands for a picture that is not there.
    """
    data = ModelCardData(
        library_name="transformers",
        pipeline_tag="image-text-to-text",
        tags=["llava", "polymodal"],
        base_model=base_models(run.declaration) or None,
    )
    said = run.generation.system
    system = f'{{"role": "system", "content": {json.dumps(said)}}}, ' if said else ""
    return TEXT.format(
        header=data.to_yaml().strip(),
        name=run.folder.name,
        version=__version__,
        system=system,
        missing=missing,
    )
