"""The declaration of a run."""

from __future__ import annotations

from typing import Any

import yaml
from pydantic import Field, model_validator

from polymodal.config.base import Section
from polymodal.config.data import DataConfig
from polymodal.config.generation import GenerationConfig, StageConfig
from polymodal.config.inputs import InputConfig
from polymodal.config.targets import TargetConfig
from polymodal.config.training import FusionConfig, ObjectiveConfig, ReportConfig, TrainConfig
from polymodal.utils.version import __version__


class Declaration(Section):
    """Everything that defines a run."""

    start: str | None = Field(
        None, description="Run folder whose encoders, embedding and fusion go on; heads are new."
    )
    data: DataConfig = Field(default_factory=DataConfig)
    inputs: dict[str, InputConfig] = Field(default_factory=dict)
    targets: dict[str, TargetConfig] = Field(default_factory=dict)
    objectives: dict[str, ObjectiveConfig] = Field(default_factory=dict)
    generation: GenerationConfig | None = Field(None, description="Answers in words, in place of targets.")
    stages: dict[str, StageConfig] = Field(default_factory=dict)
    fusion: FusionConfig = Field(default_factory=FusionConfig)
    train: TrainConfig = Field(default_factory=TrainConfig)
    report: ReportConfig = Field(default_factory=ReportConfig)

    @model_validator(mode="before")
    @classmethod
    def _bare_objectives(cls, values: Any) -> Any:
        """Accept ``contrastive:`` without options, and a list of names."""
        given = values.get("objectives") if isinstance(values, dict) else None
        if isinstance(given, list) and all(isinstance(name, str) for name in given):
            given = dict.fromkeys(given)
        if isinstance(given, dict):
            filled = {name: {} if entry is None else entry for name, entry in given.items()}
            return values | {"objectives": filled}
        return values

    @model_validator(mode="after")
    def _words_or_targets(self) -> Declaration:
        """Refuse targets beside a language model."""
        if self.generation and (self.targets or self.objectives):
            other = "targets" if self.targets else "objectives"
            raise ValueError(f"'generation' and '{other}' exclude each other. Fit two runs")
        if self.generation and self.data.labels is not None:
            raise ValueError("'data.labels' chooses rows by their target, and 'generation' has none")
        if self.generation and self.data.private:
            raise ValueError("'data.private' does not go with 'generation': it may repeat what it has read")
        if self.stages and not self.generation:
            raise ValueError("'stages' are those of a language model: give 'generation' too")
        connected = [name for name, entry in self.inputs.items() if entry.connector]
        if connected and not self.generation:
            raise ValueError(
                f"inputs.{connected[0]}.connector leads to a language model: give 'generation' too"
            )
        return self

    @property
    def keeps_rows(self) -> bool:
        """Whether files of the run may hold predictions of single rows."""
        return self.report.predictions and not self.data.private

    @property
    def shows_cells(self) -> bool:
        """Whether the report may show cells of single rows."""
        return self.report.media and self.keeps_rows

    def to_yaml(self) -> str:
        """The declaration as YAML, with every default and the version that wrote it, in declared order."""
        text = yaml.safe_dump(self.model_dump(), sort_keys=False, allow_unicode=True)
        return f"# Written by polymodal {__version__}\n{text}"
