"""The models: encoders, embedding and fusion, with heads for targets or objectives for pre-training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from polymodal.errors import ConfigError
from polymodal.models.base import Inputs, PolymodalPreTrainedModel, encode
from polymodal.models.configuration import PolymodalConfig
from polymodal.models.embedding import EmbeddingInput, MultimodalEmbedding
from polymodal.models.encoders import Encoder, build_encoder, encoder_settings
from polymodal.models.fusion import FeatureFusion
from polymodal.models.fusion.base import masked_mean
from polymodal.models.heads import Head, build_head, divisor
from polymodal.models.objectives.base import Objective, build_objective
from polymodal.models.objectives.joint import is_learning, learn, seen
from polymodal.models.outputs import EmbeddedInput, FusedState, PolymodalOutput, TokenSequence
from polymodal.models.projection import SharedSpace
from polymodal.models.weighting import WEIGHTINGS, Term, Weighting
from polymodal.utils.module_lists import ModuleListOf
from polymodal.utils.records import Settings


class PolymodalModel(PolymodalPreTrainedModel):
    """Encoders, embedding and fusion: a batch in, one fused vector per row out.

    Args:
        config: The model's configuration.
        encoders: The encoders, in the order of ``config.encoders``; by default built from it.
        fusion: The fusion; by default built from ``config.fusion``.
    """

    continued: frozenset[str] = frozenset()
    """Names of the parameters that were copied whole from a run; they have the pretrained learning rate."""

    def __init__(
        self,
        config: PolymodalConfig,
        encoders: list[Encoder] | None = None,
        fusion: FeatureFusion | None = None,
    ) -> None:
        super().__init__(config)
        self.encoders = ModuleListOf(encoders or [build_encoder(settings) for settings in config.encoders])
        self.encoder_of = {entry["name"]: entry["encoder"] for entry in config.inputs}
        self.embedding = MultimodalEmbedding(
            [self._embedding_input(name, index) for name, index in self.encoder_of.items()],
            width=config.fusion["width"],
            dropout=config.embedding_dropout,
        )
        self.fusion = (fusion or FeatureFusion(**config.fusion)).bind(config.input_names)
        self.space: SharedSpace | None = None
        if config.space is not None:
            self.space = SharedSpace(
                config.input_names, width=config.fusion["width"], space=config.space,
                projection=config.space_projection,
            )  # fmt: skip
        self.finish()

    @classmethod
    def from_parts(
        cls,
        encoders: Mapping[str, Encoder],
        fusion: FeatureFusion | None = None,
        heads: Mapping[str, Head] | None = None,
        objectives: Sequence[Objective] = (),
        *,
        embedding_dropout: float = 0.1,
        weighting: str = "fixed",
        space: int | None = None,
        space_projection: bool = True,
    ) -> PolymodalPreTrainedModel:
        """Build a model from its parts; inputs with the same encoder object share it.

        Args:
            encoders: One encoder per input, in order.
            fusion: By default a ``transformer`` of width 128.
            heads: One head per target; with heads the model is a :class:`PolymodalForPrediction`.
            objectives: Self-supervised objectives; with objectives and no heads the model is a
                :class:`PolymodalForPreTraining`.
            embedding_dropout: Dropout on the embedded tokens.
            weighting: Weights of the losses: ``fixed``, each its ``weight``, or ``uncertainty``, learned.
            space: Width of the vectors that an objective compares; by default the fusion's.
            space_projection: Whether they are projected after the embedding; otherwise they are as wide as
                the fusion.

        Returns:
            The model, with fresh weights for the embedding and whatever is not built yet.

        Raises:
            ConfigError: If there is no encoder, the fusion cannot be built, an objective cannot be trained
                on these inputs, or there is no such weighting.
        """
        if not encoders:
            raise ConfigError("a model needs at least one input: give encoders={'name': encoder}")
        fusion = fusion or FeatureFusion()
        parts = list(dict.fromkeys(encoders.values()))
        compares = any(objective.spans_space for objective in objectives)
        config = PolymodalConfig(
            inputs=[{"name": name, "encoder": parts.index(encoder)} for name, encoder in encoders.items()],
            encoders=[encoder_settings(encoder) for encoder in parts],
            fusion={"name": fusion.name, "width": fusion.width, **fusion.options},
            heads=[head_entry(name, head) for name, head in (heads or {}).items()],
            objectives=[objective_entry(objective) for objective in objectives],
            embedding_dropout=embedding_dropout,
            weighting=weighting,
            space=(space or fusion.width) if compares else None,
            space_projection=space_projection,
        )
        if heads:
            return PolymodalForPrediction(config, parts, fusion, list(heads.values()), list(objectives))
        if objectives:
            return PolymodalForPreTraining(config, parts, fusion, list(objectives))
        return PolymodalModel(config, parts, fusion)

    def _embedding_input(self, name: str, index: int) -> EmbeddingInput:
        encoder = self.encoders[index]
        return EmbeddingInput(name, index, encoder.width, encoder.axes, encoder.tokens)

    def forward(
        self,
        index: Tensor,
        inputs: Inputs,
        targets: Any = None,
        return_dict: bool | None = None,
        weight: Any = None,
    ) -> PolymodalOutput:
        """Encode, embed and fuse.

        Args:
            index: ``(batch,)`` numbers of the rows; only their count matters here.
            inputs: By input its tensors, see :data:`polymodal.models.base.Inputs`.
            targets: Ignored.
            return_dict: Ignored, for Transformers' interface; the output is always a dictionary.
            weight: Ignored.

        Returns:
            ``embeddings``, ``fused`` and ``present``.
        """
        embedded, state = self.fuse(index, inputs)
        return self.output(embedded, state)

    def fuse(self, index: Tensor, inputs: Inputs) -> tuple[dict[str, EmbeddedInput], FusedState]:
        """The embedded inputs and the fused state of a batch."""
        embedded = self.embed(index, inputs)
        return embedded, self.fusion(embedded)

    def embed(self, index: Tensor, inputs: Inputs) -> dict[str, EmbeddedInput]:
        """Encode and embed a batch: all steps before the fusion."""
        sequences, idle = self.encode(index, inputs)
        return self.embedding(sequences, index.shape[0], idle)

    def encode(
        self, index: Tensor, inputs: Inputs
    ) -> tuple[dict[str, TokenSequence], dict[str, TokenSequence]]:
        """Encode a batch: token sequences of the inputs' items, and of blank items of no row."""
        sequences: dict[str, TokenSequence] = {}
        idle: dict[str, TokenSequence] = {}
        for name, position in self.encoder_of.items():
            values = dict(inputs.get(name, {}))
            encoder, row = self.encoders[position], values.get("row")
            present = values.pop("present", None)
            if present is not None:
                slots = torch.arange(present.numel(), device=index.device) // present.shape[1]
                sequences[name] = replace(encode(encoder, values | {"row": slots}), present=present)
            elif row is not None and len(row):
                sequences[name] = encode(encoder, values)
            elif row is not None and torch.is_grad_enabled() and any(map(len, values.values())):
                idle[name] = encode(encoder, values | {"row": row.new_zeros(1)})
        return sequences, idle

    def encoder_parameters(self, index: int) -> Iterator[nn.Parameter]:
        """The weights that only the items of one encoder use: its own, and their projection and positions."""
        embedding = self.embedding
        for part in (self.encoders[index], embedding.project[str(index)], embedding.position[str(index)]):
            yield from part.parameters()

    def output(self, embedded: Mapping[str, EmbeddedInput], state: FusedState) -> PolymodalOutput:
        """The output of a batch, without heads."""
        return PolymodalOutput(
            embeddings=self.vectors(embedded),
            fused=state.pooled,
            present=torch.stack([entry.present for entry in embedded.values()], dim=1),
        )

    def vectors(self, embedded: Mapping[str, EmbeddedInput]) -> dict[str, Tensor]:
        """One vector per input: in the shared space if there is one, otherwise the mean of its tokens."""
        if self.space is not None:
            return self.space(embedded)
        return {name: masked_mean(entry.tokens, entry.mask) for name, entry in embedded.items()}


class PolymodalForPrediction(PolymodalPreTrainedModel):
    """The model with one head per target, and objectives where it is trained with these as well.

    Args:
        config: The model's configuration.
        encoders: See :class:`PolymodalModel`.
        fusion: See :class:`PolymodalModel`.
        heads: The heads, in the order of ``config.heads``; by default built from it.
        objectives: The objectives, in the order of ``config.objectives``; by default built from it.
    """

    def __init__(
        self,
        config: PolymodalConfig,
        encoders: list[Encoder] | None = None,
        fusion: FeatureFusion | None = None,
        heads: list[Head] | None = None,
        objectives: list[Objective] | None = None,
    ) -> None:
        super().__init__(config)
        self.model = PolymodalModel(config, encoders, fusion)
        settings = [{key: entry[key] for key in entry if key != "name"} for entry in config.heads]
        built = heads or [build_head(entry) for entry in settings]
        self.heads = ModuleListOf(head.bind(config.fusion["width"]) for head in built)
        self.objectives = bound_objectives(self.model, objectives)
        factors = {name: part.variance_factor for name, part in self.named_heads() + self.named_objectives()}
        self.weighting: Weighting = WEIGHTINGS[config.weighting](factors)
        self.finish()

    def head(self, target: str) -> Head:
        """The head of ``target``."""
        return self.heads[self.config.head_names.index(target)]

    def embed(self, index: Tensor, inputs: Inputs) -> dict[str, EmbeddedInput]:
        """All steps before the fusion; see :meth:`PolymodalModel.embed`."""
        return self.model.embed(index, inputs)

    def predict_embedded(self, embedded: Mapping[str, EmbeddedInput]) -> dict[str, Tensor]:
        """The logits of every head for embedded rows."""
        state = self.model.fusion(dict(embedded))
        return {name: head(state) for name, head in self.named_heads()}

    def forward(
        self,
        index: Tensor,
        inputs: Inputs,
        targets: Mapping[str, Tensor] | None = None,
        return_dict: bool | None = None,
        normalizers: Mapping[str, Tensor] | None = None,
        weight: Tensor | None = None,
        **learned: Any,
    ) -> PolymodalOutput:
        """Predict a batch, and compute the joint loss of its targets and of the objectives.

        Args:
            index: ``(batch,)`` numbers of the rows.
            inputs: By input its tensors, see :data:`polymodal.models.base.Inputs`.
            targets: By target ``(batch,)``, or ``(batch, classes)`` for several labels per row; -100 (class)
                or NaN (number, labels) where empty. Targets may be omitted.
            return_dict: Ignored, for Transformers' interface; the output is always a dictionary.
            normalizers: By target the divisor of its loss, a scalar, where the batch is a part of a step; by
                default :meth:`Head.normalizer` of the batch.
            weight: ``(batch,)`` weights of the rows in the losses of the targets (not of the objectives); by
                default 1.
            learned: ``contents``, ``draws`` and ``share`` of the objectives: see
                :func:`polymodal.models.objectives.joint.learn`.

        Returns:
            ``logits``, ``embeddings``, ``fused``, ``present``; with targets or objectives also ``loss`` and
            ``losses``.
        """
        embedded, state = self.model.fuse(index, inputs)
        output = self.model.output(embedded, state)
        output.logits = {name: head(state) for name, head in self.named_heads()}
        terms = self._answered(output, targets or {}, normalizers, weight)
        if self.objectives and is_learning(self, learned):
            view = seen(index, inputs, embedded, state, **learned)
            terms |= learn(self.model, dict(self.named_objectives()), view, output, learned.get("share", 1.0))
        if terms:
            output.loss = self.weighting(terms)
        return output

    def _answered(
        self,
        output: PolymodalOutput,
        targets: Mapping[str, Tensor],
        normalizers: Mapping[str, Tensor] | None,
        weight: Tensor | None,
    ) -> dict[str, Term]:
        """The losses of the targets of this batch."""
        kwargs = {} if weight is None else {"weight": weight}  # a plug-in head may not support weights
        assert output.logits is not None
        terms: dict[str, Term] = {}
        if targets:
            output.losses = {}
        for name, head in self.named_heads():
            if name not in targets:
                continue
            loss = head.loss(output.logits[name], targets[name], **kwargs)
            known = head.known(targets[name])
            share: Tensor = (known if weight is None else known & (weight > 0)).any()
            if normalizers is not None:
                share = head.normalizer(targets[name], **kwargs) / divisor(normalizers[name])
            output.losses = (output.losses or {}) | {name: loss}
            terms[name] = Term(loss, head.weight, share)
        return terms

    def named_heads(self) -> list[tuple[str, Any]]:
        """Targets and their heads, in declared order."""
        return [(name, self.head(name)) for name in self.config.head_names]

    def save_pretrained(self, *args: Any, **kwargs: Any) -> None:
        """Save model and configuration, with the present settings of the heads: see ``PreTrainedModel``."""
        self.config.heads = [head_entry(name, head) for name, head in self.named_heads()]
        super().save_pretrained(*args, **kwargs)


class PolymodalForPreTraining(PolymodalPreTrainedModel):
    """The model with objectives only, for self-supervised pre-training.

    Args:
        config: The model's configuration.
        encoders: See :class:`PolymodalModel`.
        fusion: See :class:`PolymodalModel`.
        objectives: The objectives, in the order of ``config.objectives``; by default built from it.
    """

    def __init__(
        self,
        config: PolymodalConfig,
        encoders: list[Encoder] | None = None,
        fusion: FeatureFusion | None = None,
        objectives: list[Objective] | None = None,
    ) -> None:
        super().__init__(config)
        self.model = PolymodalModel(config, encoders, fusion)
        self.objectives = bound_objectives(self.model, objectives)
        if not any(objective.reads_fusion for _, objective in self.named_objectives()):
            self.model.fusion.requires_grad_(False)  # it would have no gradient
        factors = {name: objective.variance_factor for name, objective in self.named_objectives()}
        self.weighting: Weighting = WEIGHTINGS[config.weighting](factors)
        self.finish()

    def forward(
        self,
        index: Tensor,
        inputs: Inputs,
        targets: Any = None,
        return_dict: bool | None = None,
        normalizers: Any = None,
        weight: Any = None,
        **learned: Any,
    ) -> PolymodalOutput:
        """The objectives' losses of a batch in training, or with ``contents``; otherwise its vectors.

        Args:
            index: ``(batch,)`` numbers of the rows.
            inputs: By input its tensors, see :data:`polymodal.models.base.Inputs`.
            targets: Ignored.
            return_dict: Ignored, for Transformers' interface; the output is always a dictionary.
            normalizers: Ignored.
            weight: Ignored.
            learned: ``contents``, ``draws`` and ``share`` of the objectives (see
                :func:`polymodal.models.objectives.joint.learn`), and ``piece``, the number of rows that go
                through the encoders at once.

        Returns:
            ``loss`` and ``losses``; otherwise ``embeddings``, ``fused`` and ``present``.
        """
        if not is_learning(self, learned):
            return self.model.output(*self.model.fuse(index, inputs))
        output = PolymodalOutput()
        view = seen(index, inputs, **learned)
        terms = learn(self.model, dict(self.named_objectives()), view, output, learned.get("share", 1.0))
        output.loss = self.weighting(terms)
        return output


LearningModel = PolymodalForPrediction | PolymodalForPreTraining
"""The models that can be trained."""


def bound_objectives(model: PolymodalModel, objectives: list[Objective] | None) -> ModuleListOf[Objective]:
    """Bind the objectives of ``model.config``, or ``objectives``, and write their settings to it."""
    entries = [dict(entry) for entry in model.config.objectives]
    built = objectives or [build_objective(entry.pop("name"), entry) for entry in entries]
    bound = ModuleListOf(objective.bind(model) for objective in built)
    model.config.objectives = [objective_entry(objective) for objective in built]
    return bound


def head_entry(name: str, head: Head) -> Settings:
    """The configuration entry of a head."""
    return {"name": name, "task": head.task, **head.settings()}


def objective_entry(objective: Objective) -> Settings:
    """The configuration entry of an objective."""
    return {"name": objective.name, **objective.settings()}
