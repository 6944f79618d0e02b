"""The text of a LightGBM model, checked before LightGBM reads it.

LightGBM trusts the counts and indices in its text: a wrong one makes it read outside of its memory. So a text
that may come from a stranger is checked entry by entry, and written again from the checked values: of what
predictions and TreeSHAP need alone, and so that LightGBM reads the same numbers that were checked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

END = "end of trees"
NAMES = ("feature_names", "feature_infos")
MOST_TREES = 200_000
COUNT, WHOLE = re.compile(r"[0-9]{1,10}"), re.compile(r"-?[0-9]{1,10}")
NUMBER = re.compile(r"-?(inf|[0-9]+(\.[0-9]*)?(e[+-]?[0-9]+)?)")
WORD = 2**32
"""A set of categories is words of 32 bits."""
Lines = dict[str, str]
"""The entries of a header or tree, by name."""


def checked_text(text: str) -> str:
    """The header and trees of a model's text, without names, sizes, parameters and importances.

    Raises:
        ValueError: If it is no model's text, an index in it is out of range, or it is of another form than
            the models that are fitted here.
    """
    first, *trees = text.partition(f"\n{END}")[0].split("\nTree=")
    lines = first.strip().splitlines()
    if not lines or lines[0] != "tree" or len(trees) > MOST_TREES:
        raise ValueError("no text of a LightGBM model")
    header = _entries(lines[1:])
    features, per_round = _count(header, "max_feature_idx") + 1, _count(header, "num_tree_per_iteration")
    names = [header.get(name, "").split(" ") for name in NAMES]
    if any(len(name) != features for name in names) or not per_round or len(trees) % per_round:
        raise ValueError("a LightGBM model whose counts do not agree")
    if _count(header, "num_class") != per_round:
        raise ValueError("a LightGBM model whose number of classes does not agree with its trees")
    written: Lines = {"version": "v4", "num_class": str(per_round), "num_tree_per_iteration": str(per_round)}
    written |= {"label_index": "0", "max_feature_idx": str(features - 1)}
    if "average_output" in header:  # of a forest: the mean of its trees, not their sum
        written["average_output"] = ""
    written["objective"] = _objective(header.get("objective", ""), per_round)
    written["feature_names"] = " ".join(f"Column_{number}" for number in range(features))
    written["feature_infos"] = " ".join(["none"] * features)
    body = [
        f"Tree={number}\n{_text(_checked_tree(_entries(tree.splitlines()[1:]), features, number))}\n\n"
        for number, tree in enumerate(trees)
    ]
    return f"tree\n{_text(written)}\n\n" + "\n".join(body) + f"\n{END}\n"


def _text(entries: Lines) -> str:
    return "\n".join(f"{name}={value}" for name, value in entries.items())


def _entries(lines: list[str]) -> Lines:
    pairs = [line.partition("=")[::2] for line in lines if line]
    entries = dict(pairs)
    if len(entries) != len(pairs):
        raise ValueError("a LightGBM model with an entry twice")
    return entries


def _objective(given: str, per_round: int) -> str:
    """The objective, if it is one that is fitted here, and agrees with the number of trees per round."""
    known = ("regression", "binary sigmoid:1") if per_round == 1 else (f"multiclass num_class:{per_round}",)
    if given not in known:
        raise ValueError(f"a LightGBM model of an objective other than {' or '.join(known)}")
    return given


def _count(entries: Lines, name: str) -> int:
    value = entries.get(name, "")
    if not COUNT.fullmatch(value):
        raise ValueError(f"a LightGBM model whose {name} is no count")
    return int(value)


def _wholes(entries: Lines, name: str, count: int) -> np.ndarray:
    """``(count,)`` int64, see :func:`_words`."""
    return np.array(_words(entries, name, count, WHOLE, int), dtype=np.int64)


def _numbers(entries: Lines, name: str, count: int) -> np.ndarray:
    """``(count,)`` float64, see :func:`_words`."""
    return np.array(_words(entries, name, count, NUMBER, float), dtype=np.float64)


def _words(
    entries: Lines, name: str, count: int, form: re.Pattern[str], kind: Callable[[str], float]
) -> Sequence[float]:
    """The values of an entry.

    Raises:
        ValueError: If there are not ``count`` of them, or one is of another form.
    """
    words = entries.get(name, "").split(" ") if entries.get(name) else []
    if len(words) != count:
        raise ValueError(f"a tree of LightGBM with {len(words)} values of {name}, expected {count}")
    if not all(form.fullmatch(word) for word in words):
        raise ValueError(f"a tree of LightGBM with a value of {name} that is no number")
    return [kind(word) for word in words]


def _checked_tree(entries: Lines, features: int, number: int) -> Lines:
    """The entries of a tree that answers need, if all indices are in range and it has no loop."""
    leaves, sets = _count(entries, "num_leaves"), _count(entries, "num_cat")
    if not leaves or entries.get("is_linear", "0") != "0":
        raise ValueError(f"tree {number} of LightGBM is of another form than the ones that are fitted here")
    values = _numbers(entries, "leaf_value", leaves)
    if not np.isfinite(values).all():
        raise ValueError(f"tree {number} of LightGBM has a leaf that is not finite")
    if leaves == 1:
        return {"num_leaves": "1", "num_cat": "0", "leaf_value": _joined(values)}
    nodes = np.arange(leaves - 1)
    wholes = {
        name: _wholes(entries, name, leaves - 1)
        for name in ("split_feature", "decision_type", "left_child", "right_child")
    }
    thresholds = _numbers(entries, "threshold", leaves - 1)
    inside = all(
        ((side >= -leaves) & (side < leaves - 1) & ((side < 0) | (side > nodes))).all()
        for side in (wholes["left_child"], wholes["right_child"])
    )
    used, kinds = wholes["split_feature"], wholes["decision_type"]
    if not inside or (used < 0).any() or (used >= features).any() or (kinds < 0).any() or (kinds > 15).any():
        raise ValueError(f"tree {number} of LightGBM has an index out of range")
    wholes |= _checked_sets(entries, sets, thresholds[kinds % 2 == 1], number)
    wholes |= _checked_counts(entries, wholes["left_child"], wholes["right_child"], number)
    written = {"num_leaves": str(leaves), "num_cat": str(sets), "threshold": _joined(thresholds)}
    return written | {name: _joined(each) for name, each in wholes.items()} | {"leaf_value": _joined(values)}


def _joined(values: np.ndarray) -> str:
    """As LightGBM reads them; the shortest text of a float that gives it back."""
    return " ".join(map(repr, values.tolist()))


def _checked_sets(entries: Lines, sets: int, chosen: np.ndarray, number: int) -> dict[str, np.ndarray]:
    """The sets of categories that nodes refer to, if all of them are there."""
    if not sets:
        if len(chosen):
            raise ValueError(f"tree {number} of LightGBM has an index out of range")
        return {}
    edges = _wholes(entries, "cat_boundaries", sets + 1)
    words = _wholes(entries, "cat_threshold", int(max(edges[-1], 0)))
    outside = (chosen < 0) | (chosen >= sets) | (chosen != np.floor(chosen))
    if edges[0] != 0 or (np.diff(edges) < 1).any() or outside.any() or ((words < 0) | (words >= WORD)).any():
        raise ValueError(f"tree {number} of LightGBM has an index out of range")
    return {"cat_boundaries": edges, "cat_threshold": words}


def _checked_counts(
    entries: Lines, left: np.ndarray, right: np.ndarray, number: int
) -> dict[str, np.ndarray]:
    """The training rows of each leaf and node, by which TreeSHAP weighs paths that a row does not take."""
    leaves = _wholes(entries, "leaf_count", len(left) + 1)
    nodes = _wholes(entries, "internal_count", len(left))
    every = np.concatenate([nodes, leaves[::-1]])  # of the child -1 is the first leaf
    if (leaves < 1).any() or (nodes != every[left] + every[right]).any():
        raise ValueError(f"tree {number} of LightGBM has counts of rows that do not agree")
    return {"leaf_count": leaves, "internal_count": nodes}
