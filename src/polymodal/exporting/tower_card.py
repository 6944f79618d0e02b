"""The model card (``README.md``) of exported towers."""

from __future__ import annotations

from collections.abc import Mapping

from huggingface_hub import ModelCardData

from polymodal.exporting.tower_inputs import IMAGE, TOWERS
from polymodal.utils.version import __version__

TEXT = """---
{header}
---

# {name}

The {towers} of the polymodal run `{name}`: unit vectors of {width} numbers that may be compared with each
other. Written by polymodal {version}.

```
pip install 'polymodal[sentence-transformers]'
```

```python
{imports}from sentence_transformers import SentenceTransformer

model = SentenceTransformer("this folder", trust_remote_code=True)  # polymodal's module is imported
vectors = model.encode([{example}])
```
"""


def tower_card(name: str, inputs: Mapping[str, str], width: int | None) -> str:
    """The text of a card.

    Args:
        name: Name of the run.
        inputs: Names of its inputs by modality.
        width: Width of the vectors.
    """
    data = ModelCardData(
        library_name="sentence-transformers",
        pipeline_tag="feature-extraction",
        tags=["polymodal", "sentence-transformers", *inputs],
    )
    return TEXT.format(
        header=data.to_yaml().strip(),
        name=name,
        towers=" and ".join(f"{TOWERS[modality].name} (`{column}`)" for modality, column in inputs.items()),
        width=width,
        version=__version__,
        imports="from PIL import Image\n" if IMAGE in inputs else "",
        example=", ".join(TOWERS[modality].example for modality in inputs),
    )
