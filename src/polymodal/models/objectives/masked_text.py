"""Masked language modelling (BERT), with the other inputs of the row as context."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoTokenizer

from polymodal.errors import ConfigError
from polymodal.models.encoders import TextEncoder
from polymodal.models.objectives.base import OBJECTIVES, Objective
from polymodal.models.objectives.batch_view import ObjectiveModel, View
from polymodal.models.objectives.masked import MaskedObjective, SumAndCount, item_tokens, prediction_head
from polymodal.models.objectives.row_rng import item_draws, salt, uniform
from polymodal.models.outputs import FusedState, TokenSequence
from polymodal.utils.hub import load_pretrained
from polymodal.utils.records import Settings

MASKED, EXCHANGED = 0.8, 0.9
"""80 % of the positions to predict show the mask token, 10 % a random token, 10 % their own (BERT)."""


@dataclass
class Hidden:
    """What was masked of an input.

    Attributes:
        ids: ``(items, length)`` the original token ids.
        where: ``(items, length)`` bool, the positions to predict.
    """

    ids: Tensor
    where: Tensor


@OBJECTIVES.register("masked_text")
class MaskedTextObjective(MaskedObjective):
    """Masked language modelling (BERT; Devlin et al. 2019, section 3.1) with the other inputs as context.

    Texts of more tokens than their encoder returns are truncated, for every position needs its own token.

    Args:
        share: Share of the tokens that are predicted.
        words: By input the id of its tokenizer's ``mask`` token, the ids of its ``special`` tokens and the
            ``size`` of its vocabulary; by default those of the encoder's tokenizer.
        options: See :class:`Objective`.
    """

    name = "masked_text"

    def __init__(
        self, *, share: float = 0.15, words: Mapping[str, Mapping[str, Any]] | None = None, **options: Any
    ) -> None:
        super().__init__(share=share, **options)
        self.words: dict[str, dict[str, Any]] = {name: dict(entry) for name, entry in (words or {}).items()}
        self.tell_word = nn.ModuleDict()
        self.key: dict[str, str] = {}

    def bind(self, model: ObjectiveModel) -> Objective:
        """Build a prediction head per encoder: see :meth:`Objective.bind`."""
        super().bind(model)
        for name in self.taking:
            index = model.encoder_of[name]
            encoder: Any = model.encoders[index]
            if name not in self.words:
                self.words[name] = words_of(encoder)
            self.key[name] = str(index)
            if str(index) not in self.tell_word:
                wide = encoder.backbone.get_input_embeddings().weight.shape[1]
                head = prediction_head(model.config.fusion["width"], wide)
                self.tell_word[str(index)] = nn.ModuleDict(
                    {"head": head, "bias": Bias(self.words[name]["size"])}
                )
        return self

    def refusal(self, model: ObjectiveModel, name: str) -> str | None:
        """The reason why an input cannot be masked; None if it can."""
        encoder = model.encoders[model.encoder_of[name]]
        if encoder.modality != TextEncoder.modality or not hasattr(encoder, "backbone"):
            return f"it is {encoder.modality}, not text"
        if encoder.frozen:
            return "its encoder is frozen"
        try:
            self.words.get(name) or words_of(encoder)
        except ConfigError as error:
            return str(error)
        return None

    def hide(self, model: ObjectiveModel, view: View) -> tuple[dict[str, dict[str, Tensor]], Any]:
        """Mask tokens: see :meth:`MaskedObjective.hide`."""
        inputs = {name: dict(values) for name, values in view.inputs.items()}
        hidden: dict[str, tuple[Hidden, Tensor]] = {}
        for name in self.taking:
            if name not in inputs or not len(inputs[name]["row"]):
                continue
            encoder: Any = model.encoders[model.encoder_of[name]]
            values = {key: v[:, : encoder.tokens] if v.ndim > 1 else v for key, v in inputs[name].items()}
            draws = item_draws(view.draws, values["row"])
            shown, made = self._mask(name, values["input_ids"], values["attention_mask"].bool(), draws)
            inputs[name] = values | {"input_ids": shown}
            hidden[name] = made, encoder.backbone.get_input_embeddings().weight
        return inputs, hidden

    def _mask(self, name: str, ids: Tensor, content: Tensor, draws: Tensor) -> tuple[Tensor, Hidden]:
        """Mask token ids; at least one position of every text with words is to be predicted."""
        words = self.words[name]
        special = torch.isin(ids, torch.tensor(words["special"], device=ids.device))
        free = content & ~special
        chance = uniform(draws, salt(self.name, name), *ids.shape[1:]).masked_fill(~free, 2.0)
        where = free & ((chance < self.share) | (chance == chance.amin(dim=1, keepdim=True)))
        way = uniform(draws, salt(self.name, name, "way"), *ids.shape[1:])
        other = (uniform(draws, salt(self.name, name, "other"), *ids.shape[1:]) * words["size"]).long()
        changed = torch.where(way < MASKED, words["mask"], torch.where(way < EXCHANGED, other, ids))
        return torch.where(where, changed, ids), Hidden(ids, where)

    def part_names(self) -> list[str]:
        """The parts of the loss: one per input."""
        return self.taking

    def predict(
        self, sequences: Mapping[str, TokenSequence], state: FusedState, hidden: Any
    ) -> dict[str, SumAndCount]:
        """The sum of the cross-entropies per input: see :meth:`MaskedObjective.predict`."""
        result = {}
        for name, (made, table) in hidden.items():
            tokens = item_tokens(state, name, sequences[name])[made.where]
            parts: Any = self.tell_word[self.key[name]]
            logits = F.linear(parts["head"](tokens), table[: self.words[name]["size"]]) + parts["bias"].value
            loss = F.cross_entropy(logits.float(), made.ids[made.where], reduction="sum")
            result[name] = loss, made.where.sum()
        return result

    def settings(self) -> Settings:
        """The keyword arguments that rebuild this objective."""
        return super().settings() | {"words": self.words}


class Bias(nn.Module):
    """One bias per token of the vocabulary, added to its logit."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.zeros(size))


def words_of(encoder: Any) -> Settings:
    """The mask token, the special tokens and the vocabulary size of an encoder's tokenizer.

    Raises:
        ConfigError: If it has no tokenizer, or one without a mask token.
    """
    tokenizer = encoder.tokenizer
    if tokenizer is None and encoder.checkpoint:
        tokenizer = load_pretrained(AutoTokenizer, encoder.checkpoint)
    if tokenizer is None:
        raise ConfigError("its encoder has no tokenizer. Give it one: pm.TextEncoder(…, tokenizer=…)")
    if tokenizer.mask_token_id is None:
        kind = encoder.config.model_type
        raise ConfigError(f"the tokenizer of its '{kind}' has no mask token. Take one that has, such as bert")
    size = encoder.backbone.get_input_embeddings().weight.shape[0]
    return {"mask": tokenizer.mask_token_id, "special": list(tokenizer.all_special_ids), "size": size}
