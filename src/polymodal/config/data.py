"""The section ``data``: the table, its splits and its cache."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from polymodal.config.base import Section


class DataConfig(Section):
    """The table and its splits."""

    train: str | None = Field(None, description="Table: CSV, TSV, JSONL, Parquet or a saved dataset folder.")
    validation: float | str = Field(0.1, description="Share of the rows held out for validation, or a table.")
    test: float | str = Field(0.1, description="Share of the rows held out for the test, or a table.")
    split: str | None = Field("split", description="Column that names each row's split; wins over any share.")
    group: str | None = Field(None, description="Column whose equal values stay in one split.")
    sample_weight: str | None = Field(
        None, description="Column with the weight of each row in losses and metrics."
    )
    on_error: Literal["refuse", "skip"] = Field(
        "refuse", description="Rows that cannot be read: no fit starts, or they are skipped and listed."
    )
    folds: int | None = Field(None, ge=2, description="Equal parts of the rows, one of which is the test.")
    fold: int = Field(0, ge=0, description="Which of the folds is the test, from 0.")
    seed: int | None = Field(None, ge=0, description="Seed of the split; by default train.seed.")
    missing: list[str] | None = Field(
        None,
        description=(
            "Marks of a missing value, in place of nan, <NA> and #N/A; null: these. In numbers and dates NA, "
            "None, ? and the like stay missing."
        ),
    )
    labels: int | float | None = Field(
        None,
        description="Labels to train with: a number of training rows, or a share, stratified by class.",
    )

    sep: str | None = Field(None, description="Separator of the cells of a CSV; by default it is detected.")
    encoding: str | None = Field(
        None, description="Encoding of a CSV or JSON file, such as cp1252; by default UTF-8."
    )
    root: str | None = Field(
        None,
        description="Folder that media paths start from, instead of the table's; none may lead out of it.",
    )
    media_anywhere: bool = Field(
        False,
        description="Allow media outside of the folder of the table's file, or of data.root.",
    )

    private: bool = Field(
        False,
        description="No file of the run holds rows, extreme values, or names that few training rows have.",
    )
    private_rows: int = Field(
        10, ge=2, description="With private: training rows that a name, word or edge must be held by."
    )

    cache_memory: float = Field(2.0, ge=0, description="GB of memory for decoded media and encoded cells.")
    cache_disk: float = Field(20.0, ge=0, description="GB of disk for the same; see `polymodal cache`.")

    @field_validator("missing", mode="before")
    @classmethod
    def _marks(cls, value: Any) -> Any:
        if value is None:
            return None
        marks = list(value) if isinstance(value, list | tuple) else [value]
        wrong = [mark for mark in marks if not isinstance(mark, str | int | float)]
        if wrong:
            raise ValueError(f"holds {wrong[0]!r}, expected texts or numbers, such as [NA, -999]")
        return [str(mark) for mark in marks]

    @field_validator("labels", mode="before")
    @classmethod
    def _count_or_share(cls, value: Any) -> Any:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is None or (is_number and (0 < value < 1 or (value >= 1 and value == int(value)))):
            return int(value) if is_number and value >= 1 else value
        raise ValueError(f"is {value!r}, expected a whole number of rows, or a share between 0 and 1")

    @model_validator(mode="after")
    def _fold_is_there(self) -> DataConfig:
        if self.fold >= (self.folds or 1):
            has = f"data.folds is {self.folds}" if self.folds else "data.folds is not given"
            raise ValueError(f"there is no fold {self.fold}: {has}, and folds are counted from 0")
        return self
