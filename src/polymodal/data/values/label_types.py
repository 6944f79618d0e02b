"""The type of a column's labels, and conversion of a label's name to a value of that type.

Internally a class is a name, the same for every table format. Predictions are values again: an ``int`` of the
training column is an ``int`` in a DataFrame, in Parquet and in JSON. A CSV has no types: labels that are all
whole numbers, numbers or truth values are parsed as such, as pandas does; all others are texts.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from polymodal.data.values.column_values import as_label, is_textual
from polymodal.data.values.vocabulary import Vocabulary

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

TEXT = "text"
INT64 = 2**63


def _datetime(name: str) -> pd.Timestamp:
    import pandas as pd

    moment = pd.Timestamp(name).as_unit("us")
    return moment if moment.tzinfo is None else moment.tz_convert("UTC")


def _truth(name: str) -> bool:
    return {"true": True, "false": False}[name.lower()]


READ: dict[str, Callable[[str], Any]] = {
    TEXT: str,
    "int": int,
    "bool": _truth,
    "float": float,
    "float32": lambda name: np.float32(float(name)),
    "decimal": Decimal,
    "date": datetime.date.fromisoformat,
    "datetime": _datetime,
    "time": datetime.time.fromisoformat,
}
"""By kind: from the name of a class to its value."""
GUESSED = ("int", "float", "bool")
"""Kinds that texts of a CSV are parsed as, like pandas; dates stay texts, like in pandas."""
DTYPES = {"int": ("int64", "Int64"), "bool": ("bool", "boolean"), "float": ("float64", "float64"),
          "float32": ("float32", "float32")}  # fmt: skip
"""By kind: pandas' type of a column without and with empty cells."""


def label_kind(values: pa.ChunkedArray, names: Sequence[str], untyped: bool = False) -> str:
    """The kind of a column's labels: a key of :data:`READ`.

    Args:
        values: The cells: labels, or lists of them.
        names: The distinct labels, as :func:`polymodal.data.values.column_values.as_label` names them.
        untyped: Whether the cells come from a file that holds texts alone.

    Returns:
        ``text`` where a name does not convert back to the label, as where ``1`` and ``1.0`` are two labels.
    """

    import pyarrow as pa

    kind = values.type
    while pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        kind = kind.value_type
    if is_textual(kind):
        tried: Sequence[str] = GUESSED if untyped else ()
    else:
        tried = (_kind_of(kind),)
    return next((name for name in tried if names and _gives_back(names, name)), TEXT)


def _kind_of(kind: pa.DataType) -> str:
    """The kind of an Arrow type."""

    import pyarrow as pa

    for name, is_kind in (
        ("bool", pa.types.is_boolean), ("int", pa.types.is_integer), ("float32", pa.types.is_float32),
        ("float", pa.types.is_floating), ("decimal", pa.types.is_decimal), ("date", pa.types.is_date),
        ("datetime", pa.types.is_timestamp), ("time", pa.types.is_time),
    ):  # fmt: skip
        if is_kind(kind):
            return name
    return TEXT


def _gives_back(names: Sequence[str], kind: str) -> bool:
    """Whether every name is the label of the value that it is parsed as."""
    try:
        values = [as_value(name, kind) for name in names]
    except ValueError:
        return False
    fits = all(not isinstance(value, float) or math.isfinite(value) for value in values)
    fits = fits and all(not isinstance(value, int) or -INT64 <= value < INT64 for value in values)
    known = Vocabulary(names)
    return fits and [known.index(value) for value in values] == list(range(len(names)))


def as_value(name: str, kind: str) -> Any:
    """The value of a label's name.

    Raises:
        ValueError: If the name is not of this kind.
    """
    try:
        return READ[kind](name)
    except (KeyError, ArithmeticError):
        raise ValueError(f"'{name}' is no label of the kind {kind}") from None


def as_series(values: Sequence[Any], kind: str) -> pd.Series:
    """A column of labels of one kind, None where empty."""

    import pandas as pd

    if kind == TEXT:
        return pd.Series(list(values), dtype="str")
    if kind in DTYPES:
        return pd.Series(list(values), dtype=DTYPES[kind][any(value is None for value in values)])
    if kind == "datetime":
        result = pd.Series(pd.to_datetime(list(values)))
        return result.astype("datetime64[us]") if result.isna().all() else result
    return pd.Series(list(values), dtype="object")


def plain(value: Any) -> Any:
    """A label as a JSON value: numbers and truth values as such, others as text."""
    if isinstance(value, np.float32):
        return float(str(value))
    return value if isinstance(value, (str, bool, int, float)) else as_label(value)
