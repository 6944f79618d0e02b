"""Records: attributes, keys and JSON say the same, and nothing changes them."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import dataclass, field, replace

import pytest

from polymodal.utils.records import EMPTY, OPTIONAL, JsonValue, Record, key


@dataclass(frozen=True, kw_only=True)
class Part(Record):
    value: float | None
    kind: str = field(default="plain", metadata=key("class"))


@dataclass(frozen=True, kw_only=True)
class Whole(Record):
    rows: int
    parts: dict[str, list[Part]]
    best: Part | None = field(default=None, metadata=EMPTY)
    note: str | None = field(default="", metadata=OPTIONAL)
    free: dict[str, JsonValue] = field(default_factory=dict, metadata=OPTIONAL)
    lines: list[tuple[str, list[float]]] = field(default_factory=list, metadata=OPTIONAL)
    sizes: tuple[int, ...] = field(default=(), metadata=OPTIONAL)


WHOLE = Whole(rows=3, parts={"a": [Part(value=0.5), Part(value=None, kind="b")]})
JSON = {
    "rows": 3,
    "parts": {"a": [{"value": 0.5, "class": "plain"}, {"value": None, "class": "b"}]},
    "best": {},
}


def test_a_record_is_its_json_object():
    assert WHOLE == JSON and JSON == WHOLE
    assert json.dumps(WHOLE) == json.dumps(JSON) == json.dumps(WHOLE.to_dict())
    assert list(WHOLE) == list(JSON) and len(WHOLE) == 3 and "note" not in WHOLE
    assert WHOLE["parts"]["a"][1]["class"] == WHOLE.parts["a"][1].kind == "b"
    assert type(WHOLE.to_dict()["parts"]["a"][0]) is dict


def test_optional_keys_stand_only_beside_a_value():
    assert replace(WHOLE, note=None)["note"] is None
    assert list(replace(WHOLE, free={"b": 1})) == ["rows", "parts", "best", "free"]
    assert WHOLE.best is None and WHOLE["best"] == {}


def test_a_record_is_read_back():
    full = replace(WHOLE, best=Part(value=1.0), note=None, free={"x": [1, {"y": None}]})
    full = replace(full, lines=[("a", [0.5, 1.0])], sizes=(1, 2))
    for record in (WHOLE, full):
        read = Whole.from_dict(json.loads(json.dumps(record)))
        assert read == record and isinstance(read.parts["a"][0], Part) and read.best == record.best
    assert Whole.from_dict(JSON | {"later": 1}) == WHOLE


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ({"rows": 3}, "no key 'parts'"),
        ({**JSON, "parts": []}, "no object"),
        ({**JSON, "best": 1}, "no object"),
    ],
)
def test_another_shape_is_refused(damage, says):
    with pytest.raises(ValueError, match=says):
        Whole.from_dict(damage)


def test_a_record_cannot_be_changed():
    with pytest.raises(TypeError, match="replace"):
        WHOLE["rows"] = 4
    with pytest.raises(TypeError):
        WHOLE.update(rows=4)
    with pytest.raises(AttributeError):
        WHOLE.rows = 4


def test_a_record_is_copied_and_pickled():
    for other in (copy.copy(WHOLE), copy.deepcopy(WHOLE), pickle.loads(pickle.dumps(WHOLE))):
        assert other == WHOLE and type(other) is Whole and list(other) == list(WHOLE)
    assert WHOLE | {"more": 1} == {**JSON, "more": 1}
