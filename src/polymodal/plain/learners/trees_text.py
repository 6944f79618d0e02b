"""The text of a LightGBM model, checked before LightGBM reads it.

LightGBM trusts the indices in its text: a wrong one makes it read outside of its memory. So a text that may
come from a stranger is checked tree by tree, and only what predictions need of it is passed on.
"""

from __future__ import annotations

import numpy as np

END = "end of trees"
HEADER = ("version", "num_class", "num_tree_per_iteration", "label_index", "max_feature_idx", "objective")
NAMES = ("feature_names", "feature_infos")
MOST_TREES = 200_000


def checked_text(text: str) -> str:
    """The header and trees of a model's text, without sizes, parameters and importances.

    Raises:
        ValueError: If it is no model's text, or an index in it is out of range.
    """
    first, *trees = text.partition(f"\n{END}")[0].split("\nTree=")
    lines = first.strip().splitlines()
    if not lines or lines[0] != "tree" or len(trees) > MOST_TREES:
        raise ValueError("no text of a LightGBM model")
    entries = _entries(lines[1:])
    features = _whole(entries, "max_feature_idx") + 1
    per_round = _whole(entries, "num_tree_per_iteration")
    names = [entries.get(name, "").split(" ") for name in NAMES]
    if any(len(name) != features for name in names) or not per_round or len(trees) % per_round:
        raise ValueError("a LightGBM model whose counts do not agree")
    if _whole(entries, "num_class") != per_round:
        raise ValueError("a LightGBM model whose number of classes does not agree with its trees")
    for number, tree in enumerate(trees):
        _check_tree(_entries(tree.splitlines()[1:]), features, number)
    header = [f"{name}={entries[name]}" for name in (*HEADER, *NAMES) if name in entries]
    body = [f"Tree={number}\n{tree.partition(chr(10))[2].strip()}\n\n" for number, tree in enumerate(trees)]
    return "tree\n" + "\n".join(header) + "\n\n" + "\n".join(body) + f"\n{END}\n"


def _entries(lines: list[str]) -> dict[str, str]:
    pairs = [line.partition("=")[::2] for line in lines if line]
    entries = dict(pairs)
    if len(entries) != len(pairs):
        raise ValueError("a LightGBM model with an entry twice")
    return entries


def _whole(entries: dict[str, str], name: str) -> int:
    value = entries.get(name, "")
    if not value.isascii() or not value.isdigit():
        raise ValueError(f"a LightGBM model whose {name} is no count")
    return int(value)


def _numbers(entries: dict[str, str], name: str, count: int, kind: type = int) -> np.ndarray:
    """The numbers of an entry.

    Raises:
        ValueError: If there are not ``count`` of them.
    """
    words = entries.get(name, "").split(" ") if entries.get(name) else []
    if len(words) != count:
        raise ValueError(f"a tree of LightGBM with {len(words)} values of {name}, expected {count}")
    return np.array([kind(word) for word in words], dtype=np.int64 if kind is int else np.float64)


def _check_tree(entries: dict[str, str], features: int, number: int) -> None:
    """Check that all indices of a tree are in range, and that it has no loop."""
    leaves, sets = _whole(entries, "num_leaves"), _whole(entries, "num_cat")
    if not leaves or entries.get("is_linear", "0") != "0":
        raise ValueError(f"tree {number} of LightGBM is of another form than the ones that are fitted here")
    _numbers(entries, "leaf_value", leaves, float)
    if leaves == 1:
        return
    nodes = np.arange(leaves - 1)
    used = _numbers(entries, "split_feature", leaves - 1)
    children = [_numbers(entries, side, leaves - 1) for side in ("left_child", "right_child")]
    kinds = _numbers(entries, "decision_type", leaves - 1)
    thresholds = _numbers(entries, "threshold", leaves - 1, float)
    inside = all(
        ((side >= -leaves) & (side < leaves - 1) & ((side < 0) | (side > nodes))).all() for side in children
    )
    if not inside or (used < 0).any() or (used >= features).any() or (kinds < 0).any() or (kinds > 15).any():
        raise ValueError(f"tree {number} of LightGBM has an index out of range")
    _check_sets(entries, sets, thresholds[kinds % 2 == 1], number)


def _check_sets(entries: dict[str, str], sets: int, chosen: np.ndarray, number: int) -> None:
    """Check the sets of categories that nodes refer to."""
    if not sets:
        if len(chosen):
            raise ValueError(f"tree {number} of LightGBM has an index out of range")
        return
    edges = _numbers(entries, "cat_boundaries", sets + 1)
    _numbers(entries, "cat_threshold", int(max(edges[-1], 0)))
    outside = (chosen < 0) | (chosen >= sets) | (chosen != np.floor(chosen))
    if edges[0] != 0 or (np.diff(edges) < 1).any() or outside.any():
        raise ValueError(f"tree {number} of LightGBM has an index out of range")
