"""Encoders → connectors → a causal language model: items stand among words as vectors, and words come out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.generation import GenerationMixin
from transformers.modeling_outputs import CausalLMOutputWithPast

from polymodal.errors import RunError
from polymodal.models.base import Inputs, PolymodalPreTrainedModel, encode
from polymodal.models.connectors import Connector, build_connector
from polymodal.models.encoders import Encoder, build_encoder, encoder_settings
from polymodal.models.encoders.adapters import fold_layers
from polymodal.models.encoders.tuning import add_lora
from polymodal.models.language.language_configuration import PolymodalLanguageConfig
from polymodal.utils.module_lists import ModuleListOf

LEFT_OUT = -100
"""The label of a token on which the loss does not look."""


class PolymodalForConditionalGeneration(PolymodalPreTrainedModel, GenerationMixin):
    """Any encoders before any causal language model.

    Args:
        config: What to build.
        encoders: Built already, in the order of ``config.encoders``; by default built from it.
        language_model: Built already, without adapters; by default built from ``config.text_config``.
    """

    config_class = PolymodalLanguageConfig  # type: ignore[assignment]
    base_model_prefix = ""
    main_input_name = "input_ids"
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True

    def __init__(
        self,
        config: PolymodalLanguageConfig,
        encoders: Sequence[Encoder] | None = None,
        language_model: PreTrainedModel | None = None,
    ) -> None:
        super().__init__(config)
        self.encoders = ModuleListOf(encoders or [build_encoder(settings) for settings in config.encoders])
        self.encoder_of = {entry["name"]: entry["encoder"] for entry in config.inputs}
        if language_model is not None:
            config.text_config = language_model.config
        text: Any = config.text_config
        self.connectors = ModuleListOf(
            self._connector(entry, text.get_text_config().hidden_size) for entry in config.inputs
        )
        self.language_model: PreTrainedModel = language_model or AutoModelForCausalLM.from_config(text)
        adapters, config.lora = config.lora, None
        if adapters:
            self.adapt(adapters)
        self.finish()
        if language_model is not None:  # how it is meant to be decoded is kept beside its weights
            self.generation_config = language_model.generation_config

    @classmethod
    def from_pretrained(cls, *args: Any, output_loading_info: bool = False, **kwargs: Any) -> Any:
        """See :meth:`PolymodalPreTrainedModel.from_pretrained`.

        Raises:
            RunError: If weights are not there, which would be drawn at random.
        """
        model, info = super().from_pretrained(*args, output_loading_info=True, **kwargs)
        for key in sorted(info["missing_keys"]):
            raise RunError(f"'{model.name_or_path}' lacks the weights {key}: it was not saved whole")
        return (model, info) if output_loading_info else model

    @classmethod
    def from_parts(
        cls,
        encoders: Mapping[str, Encoder],
        language_model: PreTrainedModel,
        placeholders: Mapping[str, tuple[int, int]],
        connectors: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        pretrained: bool = True,
    ) -> PolymodalForConditionalGeneration:
        """A model of parts made by hand; inputs that are given the same encoder object share it.

        Args:
            encoders: An encoder an input, in order; perhaps none.
            language_model: Its vocabulary holds the placeholders.
            placeholders: By input the token of an item's vectors, and the one for an item that is missing.
            connectors: By input the connector's ``type`` and options; ``mlp`` by default.
            pretrained: Whether the language model came with weights, and learns at their rate.

        Raises:
            ConfigError: If there is no such connector.
        """
        parts = list(dict.fromkeys(encoders.values()))
        chosen = {name: dict((connectors or {}).get(name, {"type": "mlp"})) for name in encoders}
        inputs = [
            {
                "name": name, "encoder": parts.index(encoder), "connector": chosen[name],
                "placeholder": placeholders[name][0], "missing": placeholders[name][1],
            }
            for name, encoder in encoders.items()
        ]  # fmt: skip
        config = PolymodalLanguageConfig(
            inputs=inputs,
            encoders=[encoder_settings(encoder) for encoder in parts],
            text_config=language_model.config,
            pretrained=pretrained,
        )
        return cls(config, parts, language_model)

    @property
    def decoder(self) -> PreTrainedModel:
        """The language model without its last layer, which says words."""
        return getattr(self.language_model, self.language_model.base_model_prefix)

    def encoder(self, name: str) -> Encoder:
        """The encoder of an input."""
        return self.encoders[self.encoder_of[name]]

    def connector(self, name: str) -> Connector:
        """The connector of an input."""
        return self.connectors[self.config.input_names.index(name)]

    def count_tokens(self, name: str, values: Mapping[str, Tensor]) -> Tensor:
        """How many vectors items of an input take among the words, ``(items,)``."""
        return self.connector(name).count(self.encoder(name).count(**values))

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        labels: Tensor | None = None,
        inputs: Inputs | None = None,
        inputs_embeds: Tensor | None = None,
        num_items_in_batch: Any = None,
        **options: Any,
    ) -> CausalLMOutputWithPast:
        """What comes after each token, and the loss where ``labels`` are given.

        Args:
            input_ids: ``(batch, length)``, a placeholder for each vector of an item.
            attention_mask: ``(batch, length)``; none where conversations are packed, which ``position_ids``
                tell apart.
            position_ids: ``(batch, length)``.
            labels: ``(batch, length)``, each token at its own place; -100 where the loss does not look.
            inputs: See :data:`polymodal.models.modeling.Inputs`: the items in the order of their
                placeholders; ``taken`` ``(items,)`` beside them says how many vectors each takes, where that
                is not what the encoder masks.
            inputs_embeds: In the place of ``input_ids`` and ``inputs``: see :meth:`embed`.
            num_items_in_batch: What the summed loss is divided by; by default the labels it looks at.
            options: Of the language model.

        Returns:
            ``logits`` ``(batch, length, vocabulary)``; with ``labels`` ``(batch, kept, vocabulary)``, of
            the places alone after which some row has a label.

        Raises:
            ValueError: If items and placeholders do not match.
        """
        if inputs_embeds is None:
            assert input_ids is not None
            inputs_embeds = self.embed(input_ids, inputs)
        seen = {"inputs_embeds": inputs_embeds, "attention_mask": attention_mask, **options}
        if position_ids is not None:
            seen["position_ids"] = position_ids
        if labels is None:
            return self.language_model(**seen)
        kept = (labels[:, 1:] != LEFT_OUT).any(dim=0).nonzero().squeeze(1)
        said = self.language_model(**seen, use_cache=False, logits_to_keep=kept)
        if not len(kept):
            return CausalLMOutputWithPast(
                loss=said.logits.sum() + 0.0 * inputs_embeds.sum(), logits=said.logits
            )
        loss = self.language_model.loss_function(
            logits=said.logits, labels=None, shift_labels=labels[:, kept + 1].contiguous(),
            vocab_size=said.logits.shape[-1], num_items_in_batch=num_items_in_batch,
        )  # fmt: skip
        return CausalLMOutputWithPast(loss=loss, logits=said.logits)

    def embed(self, input_ids: Tensor, inputs: Inputs | None = None) -> Tensor:
        """The language model's embeddings ``(batch, length, width)``, with items in their placeholders.

        Raises:
            ValueError: If items and placeholders do not match.
        """
        embeds = self.language_model.get_input_embeddings()(input_ids)
        for entry in self.config.inputs:
            name = entry["name"]
            connector = self.connector(name)
            lacks = (input_ids == entry["missing"]).unsqueeze(-1)
            embeds = torch.where(lacks, connector.missing.to(embeds), embeds)
            places = input_ids == entry["placeholder"]
            vectors = self._vectors(name, (inputs or {}).get(name))
            found, wanted = (0 if vectors is None else len(vectors)), int(places.sum())
            if found != wanted:
                raise ValueError(f"'{name}' has {wanted} placeholders, and its items give {found} vectors")
            if vectors is not None:
                embeds = embeds.masked_scatter(places.unsqueeze(-1), vectors.to(embeds))
        return embeds

    def _vectors(self, name: str, values: Mapping[str, Tensor] | None) -> Tensor | None:
        """The vectors ``(n, width)`` of an input's items, one after another; of blank items none."""
        if values is None:
            return None
        given = dict(values)
        taken, row = given.pop("taken", None), given["row"]
        items = max(len(value) for value in given.values())
        blank = not len(row)
        if blank:  # so that every weight has a gradient, as processes that step together must have
            given["row"] = row.new_zeros(items)
        vectors, mask = self.connector(name)(encode(self.encoder(name), given))
        if taken is not None and not blank:
            mask = torch.arange(vectors.shape[1], device=vectors.device) < taken.unsqueeze(1)
        return vectors[:0].flatten(0, 1) if blank else vectors[mask]

    @torch.no_grad()
    def generate(  # type: ignore[override]
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs: Inputs | None = None,
        inputs_embeds: Tensor | None = None,
        **options: Any,
    ) -> Any:
        """See :meth:`transformers.GenerationMixin.generate`; gives the new tokens alone.

        Args:
            input_ids: ``(batch, length)``, padded on the left.
            attention_mask: ``(batch, length)``.
            inputs: See :meth:`forward`.
            inputs_embeds: In the place of ``input_ids`` and ``inputs``.
            options: Of ``generate``: ``max_new_tokens``, ``num_beams``, ``do_sample``, ``streamer``, ….
        """
        if inputs_embeds is None:
            assert input_ids is not None
            inputs_embeds = self.embed(input_ids, inputs)
        settings = deepcopy(options.pop("generation_config", None) or self.generation_config)
        others = settings.update(**options)  # those that are no settings, such as a streamer
        language_model: Any = self.language_model
        language_model.generation_config = self.generation_config  # for what the given settings leave open
        return language_model.generate(
            inputs_embeds=inputs_embeds, attention_mask=attention_mask, generation_config=settings, **others
        )

    def adapt(self, settings: Mapping[str, Any]) -> None:
        """Put low-rank adapters beside the language model's layers, which alone of it learn then.

        Adapters that it has already are folded in first. See :func:`add_lora`.
        """
        self.merge()
        self.config.lora = add_lora(self.decoder, settings)
        for name, weight in self.language_model.named_parameters():
            weight.requires_grad_(".lora_" in name)

    def merge(self) -> PolymodalForConditionalGeneration:
        """Fold the adapters of the language model into the weights beside them, if it has any."""
        if self.config.lora:
            fold_layers(self.decoder)
            self.config.lora = None
            self.language_model.requires_grad_(True)
        return self

    def get_input_embeddings(self) -> nn.Module:
        """The language model's."""
        return self.language_model.get_input_embeddings()

    def get_output_embeddings(self) -> nn.Module:
        """The language model's last layer."""
        return self.language_model.get_output_embeddings()

    def save_pretrained(self, *args: Any, **kwargs: Any) -> None:
        """See :meth:`transformers.PreTrainedModel.save_pretrained`; what the encoders are by now is kept."""
        self.config.encoders = [encoder_settings(encoder) for encoder in self.encoders]
        super().save_pretrained(*args, **kwargs)

    def _connector(self, entry: Mapping[str, Any], language_width: int) -> Connector:
        options = dict(entry["connector"])
        width = self.encoders[entry["encoder"]].width
        return build_connector(options.pop("type"), width, language_width, options)
