"""Generation model: encoders, connectors and a causal language model over text and item embeddings."""

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
"""The label of a token without loss."""


class PolymodalForConditionalGeneration(PolymodalPreTrainedModel, GenerationMixin):
    """Encoders, connectors and a causal language model (as in LLaVA; Liu et al. 2023).

    Args:
        config: The model's configuration.
        encoders: The encoders, in the order of ``config.encoders``; by default built from it.
        language_model: The language model, without adapters; by default built from ``config.text_config``.
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
        if language_model is not None:  # its generation settings are stored beside its weights
            self.generation_config = language_model.generation_config

    @classmethod
    def from_pretrained(cls, *args: Any, output_loading_info: bool = False, **kwargs: Any) -> Any:
        """Load a model: see :meth:`PolymodalPreTrainedModel.from_pretrained`.

        Raises:
            RunError: If weights are missing, which would be initialized at random.
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
        """Build a model from its parts; inputs with the same encoder object share it.

        Args:
            encoders: One encoder per input, in order; may be empty.
            language_model: The language model; its vocabulary has the placeholders.
            placeholders: By input the token ids of its placeholder and of a missing item.
            connectors: By input the connector's ``type`` and options; ``mlp`` by default.
            pretrained: Whether the language model is pretrained, and has the pretrained learning rate.

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
        """The language model without its last layer."""
        return getattr(self.language_model, self.language_model.base_model_prefix)

    def encoder(self, name: str) -> Encoder:
        """The encoder of an input."""
        return self.encoders[self.encoder_of[name]]

    def connector(self, name: str) -> Connector:
        """The connector of an input."""
        return self.connectors[self.config.input_names.index(name)]

    def count_tokens(self, name: str, values: Mapping[str, Tensor]) -> Tensor:
        """Number of embeddings of each item of an input, ``(items,)``."""
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
        """Next-token logits, and the loss with ``labels``.

        Args:
            input_ids: ``(batch, length)``, one placeholder per embedding of an item.
            attention_mask: ``(batch, length)``; None for packed conversations, which ``position_ids``
                separate.
            position_ids: ``(batch, length)``.
            labels: ``(batch, length)``, not shifted; -100 for tokens without loss.
            inputs: By input its tensors, see :data:`polymodal.models.base.Inputs`: the items in the order of
                their placeholders; ``taken`` ``(items,)`` is the number of embeddings of each, where it is
                not that of the encoder's mask.
            inputs_embeds: Instead of ``input_ids`` and ``inputs``: see :meth:`embed`.
            num_items_in_batch: Divisor of the summed loss; by default the number of labels.
            options: Arguments of the language model.

        Returns:
            ``logits`` ``(batch, length, vocabulary)``; with ``labels`` ``(batch, kept, vocabulary)``, only of
            the positions before labels.

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
        output = self.language_model(**seen, use_cache=False, logits_to_keep=kept)
        if not len(kept):
            return CausalLMOutputWithPast(
                loss=output.logits.sum() + 0.0 * inputs_embeds.sum(), logits=output.logits
            )
        loss = self.language_model.loss_function(
            logits=output.logits, labels=None, shift_labels=labels[:, kept + 1].contiguous(),
            vocab_size=output.logits.shape[-1], num_items_in_batch=num_items_in_batch,
        )  # fmt: skip
        return CausalLMOutputWithPast(loss=loss, logits=output.logits)

    def embed(self, input_ids: Tensor, inputs: Inputs | None = None) -> Tensor:
        """The input embeddings ``(batch, length, width)``, with items at their placeholders.

        Raises:
            ValueError: If items and placeholders do not match.
        """
        embeds = self.language_model.get_input_embeddings()(input_ids)
        for entry in self.config.inputs:
            name = entry["name"]
            connector = self.connector(name)
            lacks = (input_ids == entry["missing"]).unsqueeze(-1)
            embeds = torch.where(lacks, connector.missing.to(embeds), embeds)
            indices = input_ids == entry["placeholder"]
            vectors = self._vectors(name, (inputs or {}).get(name))
            result, wanted = (0 if vectors is None else len(vectors)), int(indices.sum())
            if result != wanted:
                raise ValueError(f"'{name}' has {wanted} placeholders, and its items give {result} vectors")
            if vectors is not None:
                embeds = embeds.masked_scatter(indices.unsqueeze(-1), vectors.to(embeds))
        return embeds

    def _vectors(self, name: str, values: Mapping[str, Tensor] | None) -> Tensor | None:
        """The concatenated embeddings ``(n, width)`` of an input's items; none for blank items."""
        if values is None:
            return None
        given = dict(values)
        taken, row = given.pop("taken", None), given["row"]
        items = max(len(value) for value in given.values())
        blank = not len(row)
        if blank:  # gives every weight a gradient, so that all processes can step together
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
        """Generate tokens (:meth:`transformers.GenerationMixin.generate`); returns the new ones only.

        Args:
            input_ids: ``(batch, length)``, padded on the left.
            attention_mask: ``(batch, length)``.
            inputs: See :meth:`forward`.
            inputs_embeds: Instead of ``input_ids`` and ``inputs``.
            options: Arguments of ``generate``: ``max_new_tokens``, ``num_beams``, ``do_sample``,
                ``streamer``, ….
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
        """Add low-rank adapters to the language model, and freeze its other weights: see :func:`add_lora`.

        Existing adapters are merged first.
        """
        self.merge()
        self.config.lora = add_lora(self.decoder, settings)
        for name, weight in self.language_model.named_parameters():
            weight.requires_grad_(".lora_" in name)

    def merge(self) -> PolymodalForConditionalGeneration:
        """Merge the adapters of the language model, if it has any, into its weights."""
        if self.config.lora:
            fold_layers(self.decoder)
            self.config.lora = None
            self.language_model.requires_grad_(True)
        return self

    def get_input_embeddings(self) -> nn.Module:
        """The input embeddings of the language model."""
        return self.language_model.get_input_embeddings()

    def get_output_embeddings(self) -> nn.Module:
        """The last layer of the language model."""
        return self.language_model.get_output_embeddings()

    def save_pretrained(self, *args: Any, **kwargs: Any) -> None:
        """Save model and configuration, with present settings of the encoders: see ``PreTrainedModel``."""
        self.config.encoders = [encoder_settings(encoder) for encoder in self.encoders]
        super().save_pretrained(*args, **kwargs)

    def _connector(self, entry: Mapping[str, Any], language_width: int) -> Connector:
        options = dict(entry["connector"])
        width = self.encoders[entry["encoder"]].width
        return build_connector(options.pop("type"), width, language_width, options)
