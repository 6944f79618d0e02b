import re

import lightgbm
import numpy as np
import pytest

from polymodal.errors import RunError
from polymodal.plain.learners.boosting import TREES, read_trees
from polymodal.plain.learners.trees_text import checked_text


def booster(objective: str = "binary") -> tuple[lightgbm.Booster, np.ndarray]:
    random = np.random.default_rng(0)
    values = random.normal(size=(200, 3))
    values[:, 2] = random.integers(0, 10, 200)
    values[random.random(values.shape) < 0.1] = np.nan
    answers = (np.nan_to_num(values[:, 0]) + 2 * (values[:, 2] % 3) > 2).astype(int)
    options = {
        "objective": objective,
        "verbosity": -1,
        "min_data_per_group": 5,
        "cat_smooth": 1,
        "num_threads": 1,
    }
    options |= {"num_class": 2} if objective == "multiclass" else {}
    data = lightgbm.Dataset(values, answers, categorical_feature=[2])
    return lightgbm.train(options, data, 5), values


@pytest.mark.parametrize("objective", ["binary", "multiclass", "regression"])
def test_the_checked_text_predicts_the_same(objective):
    model, values = booster(objective)
    text = checked_text(model.model_to_string())
    assert "parameters" not in text and "tree_sizes" not in text
    read = lightgbm.Booster(model_str=text)
    np.testing.assert_array_equal(read.predict(values), model.predict(values))
    np.testing.assert_array_equal(
        read.predict(values, pred_contrib=True), model.predict(values, pred_contrib=True)
    )


@pytest.mark.parametrize(
    ("pattern", "replacement"),
    [
        (r"left_child=\S+", "left_child=0"),
        (r"left_child=\S+", "left_child=9999"),
        (r"right_child=\S+", "right_child=-9999"),
        (r"split_feature=\S+", "split_feature=3"),
        (r"split_feature=\S+", "split_feature=-1"),
        (r"num_leaves=\d+", "num_leaves=999999"),
        (r"num_cat=[1-9]\d*", "num_cat=0"),
        (r"cat_boundaries=0 \d+", "cat_boundaries=0 999"),
        (r"cat_boundaries=0", "cat_boundaries=-4"),
        (r"max_feature_idx=\d+", "max_feature_idx=70"),
        (r"num_tree_per_iteration=1", "num_tree_per_iteration=3"),
        (r"num_class=1", "num_class=7"),
        (r"is_linear=0", "is_linear=1"),
        (r"leaf_value=\S+", "leaf_value="),
        (r"\Atree", "bush"),
        (r"objective=binary sigmoid:1", "objective=multiclass num_class:9999"),
        (r"objective=binary sigmoid:1", "objective=multiclass num_class:1"),
        (r"objective=binary sigmoid:1", "objective=lambdarank"),
        (r"objective=binary sigmoid:1", "objective=binary sigmoid:-1"),
        (r"objective=.*\n", ""),
        (r"(split_feature=)\d", r"\g<1>0_1"),
        (r"(split_feature=)\d", "\\g<1>٢"),
        (r"(split_feature=)\d", r"\g<1>+1"),
        (r"(split_feature=)\d", "\\g<1>\t1"),
        (r"(split_feature=)\d", rf"\g<1>{'0' * 20}1"),
        (r"(num_leaves=)(\d+)", rf"\g<1>{'9' * 30}"),
        (r"(leaf_value=)\S+", r"\g<1>nan"),
        (r"(leaf_value=)\S+", r"\g<1>inf"),
        (r"(leaf_value=)\S+", r"\g<1>1_0"),
        (r"(threshold=)\S+", r"\g<1>nan"),
        (r"(cat_threshold=)\d+", r"\g<1>-1"),
        (r"(leaf_count=)\d+", r"\g<1>0"),
        (r"(internal_count=)\d+", r"\g<1>7"),
        (r"internal_count=.*\n", ""),
    ],
)
def test_indices_out_of_range_are_refused(pattern, replacement, tmp_path):
    text = booster()[0].model_to_string()
    changed = re.sub(pattern, replacement, text, count=1)
    assert changed != text
    (tmp_path / TREES).write_text(changed, encoding="utf-8")
    with pytest.raises((ValueError, RunError)):
        read_trees(tmp_path / TREES)


def test_a_split_by_missing_values_alone_is_kept():
    random = np.random.default_rng(0)
    values = np.where(random.random((200, 1)) < 0.4, np.nan, random.normal(size=(200, 1)))
    data = lightgbm.Dataset(values, np.isnan(values[:, 0]).astype(int))
    model = lightgbm.train({"objective": "binary", "verbosity": -1, "num_threads": 1}, data, 3)
    text = checked_text(model.model_to_string())
    assert "threshold=inf" in text
    np.testing.assert_array_equal(lightgbm.Booster(model_str=text).predict(values), model.predict(values))


def test_only_checked_entries_are_passed_on():
    text = booster()[0].model_to_string()
    changed = text.replace("num_cat=", "internal_weight=x\nnum_cat=", 1).replace(
        "label_index=0", "label_index=9"
    )
    changed = re.sub(r"\ninternal_weight=\d.*", "", changed, count=1)
    assert changed != text and checked_text(changed) == checked_text(text)
    assert checked_text(checked_text(text)) == checked_text(text)
