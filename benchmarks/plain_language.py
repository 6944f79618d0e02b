"""A language model trained as one would write it: rows padded to the longest, `loss` of Transformers.

What `language_training.py` measures ours against; the loop is that of `plain_loop.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from conversations import PICTURE
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from polymodal.training.language.conversation_rows import ConversationRows

IGNORED = -100


class PlainRow(NamedTuple):
    """A conversation's tokens, those that are learned (-100 elsewhere), and its picture, if it has one."""

    ids: Tensor
    labels: Tensor
    picture: Tensor | None


def plain_rows(rows: ConversationRows) -> list[PlainRow]:
    """The same conversations, tokens and pictures in memory."""
    made = []
    for place, row in enumerate(rows.rows):
        ids, learned = torch.tensor(row.encoded.ids), torch.tensor(row.encoded.learned)
        kept = rows[place].kept
        picture = torch.from_numpy(kept[0]) if kept else None
        made.append(PlainRow(ids, ids.where(learned, IGNORED), picture))
    return made


def pad(rows: Sequence[PlainRow]) -> dict[str, Tensor]:
    """A batch, padded behind the words to its longest row; pictures stacked."""
    mask = pad_sequence([torch.ones_like(row.ids) for row in rows], batch_first=True)
    batch = {
        "input_ids": pad_sequence([row.ids for row in rows], batch_first=True),
        "attention_mask": mask,
        "labels": pad_sequence([row.labels for row in rows], batch_first=True, padding_value=IGNORED),
    }
    pictures = [row.picture for row in rows if row.picture is not None]
    return batch | ({"pixel_values": torch.stack(pictures)} if pictures else {})


def pad_group(groups: Sequence[Sequence[PlainRow]]) -> dict[str, Tensor]:
    """A batch whose rows have been chosen before."""
    return pad(groups[0])


class PlainPictures(nn.Module):
    """Pictures before a language model as one would write it; every row has one.

    Args:
        model: Whose encoder, connector and language model are taken.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.encoder, self.connector = model.encoder(PICTURE), model.connector(PICTURE)
        self.language_model = model.language_model
        self.placeholder = model.config.inputs[0]["placeholder"]

    def forward(self, input_ids: Tensor, pixel_values: Tensor, **given: Tensor) -> Any:
        """The loss."""
        row = torch.arange(len(pixel_values), device=pixel_values.device)
        vectors, _ = self.connector(self.encoder(row=row, pixel_values=pixel_values))
        embeds = self.language_model.get_input_embeddings()(input_ids)
        places = (input_ids == self.placeholder).unsqueeze(-1)
        embeds = embeds.masked_scatter(places, vectors.to(embeds.dtype))
        return SimpleNamespace(loss=self.language_model(inputs_embeds=embeds, **given).loss)
