"""Messages of a row, in the forms in which tables hold them, and one line for each that cannot be read."""

from __future__ import annotations

import base64
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from polymodal.data.chat.messages import Media, Message
from polymodal.data.chat.messages_reading import ConversationReader
from polymodal.data.media import load_image
from polymodal.data.media.cells import MediaError
from polymodal.data.row_processor import place_problems
from polymodal.data.tables.table import read_table

INPUTS = {"image": "image", "sound": "audio"}
READER = ConversationReader(inputs=INPUTS)
ASK, PICTURE = {"type": "text", "text": "Why?"}, {"type": "image"}
SAY = {"role": "assistant", "content": "So."}


def user(*content) -> dict:
    return {"role": "user", "content": content[0] if len(content) == 1 else list(content)}


def read(*messages, **row):
    return READER.read({"messages": list(messages), **row})


def parts(*content, **row):
    """What the reader makes of the parts of a user's message."""
    return read({"role": "user", "content": list(content)}, **row)[0].parts


def test_texts_and_roles_are_read():
    messages = [{"role": "system", "content": "Be kind."}, user("Hi {x} <image>"), SAY, user(ASK, ASK), SAY]
    assert read(*messages) == (
        Message("system", ("Be kind.",)),
        Message("user", ("Hi {x} <image>",)),
        Message("assistant", ("So.",)),
        Message("user", ("Why?", "Why?")),
        Message("assistant", ("So.",)),
    )


@pytest.mark.parametrize(
    "form",
    [
        list,
        tuple,
        json.dumps,
        lambda messages: np.array(messages, dtype=object),
        lambda messages: [{**m, "content": np.array(m["content"], object), "name": None} for m in messages],
    ],
)
def test_a_cell_may_come_in_several_forms(form):
    messages = [{"role": "user", "content": [{"type": "image", "path": "a.png"}, ASK]}]
    expected = (Message("user", (Media("image", "a.png"), "\n", "Why?")),)
    assert READER.read({"messages": form(messages)}) == expected


PIXELS = Image.new("L", (2, 2))
FILES = [
    ({"path": "a.png"}, "a.png"),
    ({"image": "a.png"}, "a.png"),
    ({"image": PIXELS}, PIXELS),
    ({"image": {"bytes": b"x", "path": None}}, {"bytes": b"x", "path": None}),
    ({"url": "a.png"}, "a.png"),
    ({"url": "file:///tmp/a%20b.png"}, "/tmp/a b.png"),
    ({"url": "data:image/png;base64,AA"}, "data:image/png;base64,AA"),
    ({"base64": "AA"}, "data:image/unknown;base64,AA"),
    ({"base64": "data:image/png;base64,AA"}, "data:image/png;base64,AA"),
    ({"data": "AA"}, "data:image/unknown;base64,AA"),
    ({"data": b"x"}, b"x"),
    ({"path": "a.png", "url": None, "image": "", "text": None}, "a.png"),
]


@pytest.mark.parametrize(("keys", "cell"), FILES)
def test_a_part_names_its_file(keys, cell):
    assert parts({"type": "image", **keys}) == (Media("image", cell),)


def test_base64_is_read_as_the_file_it_holds(tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGB", (3, 2), "red").save(path)
    (media,) = parts({"type": "image", "base64": base64.b64encode(path.read_bytes()).decode()})
    assert load_image(media.cell).size == (3, 2)


def test_parts_without_a_file_take_the_next_item_of_the_rows_lists():
    row = {"images": ["a.png", "b.png", None], "audios": "x.wav"}
    messages = [user([PICTURE, ASK, {"type": "audio"}]), SAY, user([ASK, PICTURE, PICTURE]), SAY]
    first, _, second, _ = read(*messages, **row)
    assert first.parts == (Media("image", "a.png"), "\n", "Why?", "\n", Media("sound", "x.wav"))
    assert second.parts == ("Why?", "\n", Media("image", "b.png"), "\n", Media("image", None))


@pytest.mark.parametrize(
    "cell", [["a.png"], '["a.png"]', np.array(["a.png"], object), "a.png", [{"path": "a.png", "bytes": None}]]
)
@pytest.mark.parametrize("column", ["images", "image"])
def test_a_list_of_items_may_come_in_several_forms(cell, column):
    (media,) = parts(PICTURE, **{column: cell})
    assert media.cell in ("a.png", {"path": "a.png", "bytes": None})


def test_a_part_with_a_file_takes_none_of_the_rows_items():
    read_parts = parts(PICTURE, {"type": "image", "path": "own.png"}, PICTURE, images=["a.png", "b.png"])
    assert [part.cell for part in read_parts if part != "\n"] == ["a.png", "own.png", "b.png"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (["a", PICTURE, "b"], ["a", "\n", None, "\n", "b"]),
        (["a ", PICTURE, "\nb"], ["a ", None, "\nb"]),
        (["a", PICTURE, " b"], ["a", "\n", None, " b"]),
        ([PICTURE, PICTURE], [None, "\n", None]),
        ([PICTURE, "", "b"], [None, "\n", "b"]),
        (["a", "b"], ["a", "b"]),
        ([""], []),
    ],
)
def test_a_line_break_stands_between_an_item_and_its_neighbour(content, expected):
    images = [None] * sum(part is PICTURE for part in content)
    found = parts(*content, images=images)
    assert [None if isinstance(part, Media) else part for part in found] == expected


def test_the_input_is_that_of_its_name_or_the_only_one_of_its_modality():
    part = {"type": "image", "path": "a"}
    for inputs, name in (
        ({"image": "image", "other": "image"}, "image"),
        ({"scan": "image"}, "scan"),
    ):
        (message,) = ConversationReader(inputs=inputs).read({"messages": [user([part])]})
        assert message.parts == (Media(name, "a"),)


def test_llavas_older_format():
    row = {
        "conversations": [
            {"from": "human", "value": "<image>\nWhat is <video>?"},
            {"from": "gpt", "value": "An <image>."},
            {"from": "human", "value": "and this:<image>?"},
            {"from": "gpt", "value": "None"},
        ],
        "images": ["a.png", "b.png"],
    }
    reader = ConversationReader(inputs=INPUTS, column="conversations")
    first, said, second, _ = reader.read(row)
    assert first.role == "user" and said == Message("assistant", ("An <image>.",))
    assert first.parts[0] == Media("image", "a.png") and first.text == "\nWhat is <video>?"
    assert second.parts == ("and this:", "\n", Media("image", "b.png"), "\n", "?")
    row = {"conversations": row["conversations"][:2], "image": "a.png", "id": 3}
    assert reader.read(row)[0].parts[0] == Media("image", "a.png")


def test_other_marks_of_the_older_format_mean_items_where_the_row_has_some():
    reader = ConversationReader(inputs={"video": "video"})
    row = {"messages": [{"from": "human", "value": "<video> this"}], "videos": ["a.mp4"]}
    assert reader.read(row)[0].parts == (Media("video", "a.mp4"), " this")


def image(**keys) -> dict:
    return {"type": "image", **keys}


def said(**keys) -> list[dict]:
    """A question, and an answer with other keys."""
    return [user("a"), {"role": "assistant", "content": "b", **keys}]


NO_FILE = "a picture without a file"
WRONG_ITEMS = [
    ([PICTURE], {}, f"part 1: {NO_FILE}, and the row has no column 'images', expected one of the two"),
    ([PICTURE], {"images": []}, f"part 1: {NO_FILE}, and the row's column 'images' holds 0"),
    ([PICTURE], {"image": None}, f"part 1: {NO_FILE}, and the row's column 'image' holds 0"),
    ([ASK, PICTURE, PICTURE], {"images": ["a"]}, f"part 3: {NO_FILE}, and the row's column 'images' holds 1"),
    ([image(file="a")], {}, f"part 1: {NO_FILE} (it has 'file')"),
    ([image(url="https://x.org/a.png")], {}, "part 1: https://x.org/a.png is an address on the network"),
    ([image(image="http://x.org/a.png")], {}, "part 1: http://x.org/a.png is an address on the network"),
    ([image(path="a", url="b")], {}, "part 1: a picture with 'path' and 'url', expected one of them"),
    ([{"type": "video", "path": "a"}], {}, "part 1: a clip, which no input reads, expected one input of"),
    (
        [{"type": "table", "path": "a"}],
        {},
        "part 1: a part of type 'table', expected text, image, audio, vid",
    ),
    ([{"text": "a"}], {}, "part 1: a part without a type"),
    ([{"type": "text"}], {}, "part 1: no text"),
    ([ASK, {"type": "text", "text": 3}], {}, "part 2: a text of type int"),
    ([3], {}, "part 1 is of type int, expected a dict"),
]
WRONG = [
    *(([{"role": "user", "content": c}], row, f"message 1, {told}") for c, row, told in WRONG_ITEMS),
    (
        [user([PICTURE])],
        {"images": ["a", "b"]},
        "1 parts of type image without a file of their own, and 2 it",
    ),
    ([user("<image> typed")], {"images": ["a"]}, "0 parts of type image without a file of their own, and 1"),
    ([user({"type": "text"})], {}, "message 1: content of type dict, expected a text or a list of parts"),
    ([{"role": "user", "content": None}], {}, "message 1 has no content"),
    ([{"role": "asistant", "content": "a"}], {}, "message 1 has role 'asistant', expected system or user or"),
    ([{"role": "tool", "content": "a"}], {}, "message 1 has role 'tool'"),
    ([{"content": "a"}], {}, "message 1 has no role"),
    (["a"], {}, "message 1 is of type str, expected a dict"),
    (said(tool_calls=[{"id": 1}]), {}, "message 2 has 'tool_calls'"),
    (said(reasoning_content="c"), {}, "message 2 has 'reasoning_content'"),
    ([], {}, "no messages, expected at least one"),
    ([user("a"), {"role": "system", "content": "b"}], {}, "message 2 is the system's"),
    ([SAY], {}, "message 1 is the assistant's, before any user's"),
    ([{"role": "system", "content": "b"}, SAY], {}, "message 2 is the assistant's, before any user's"),
    ([user("a"), SAY, SAY], {}, "messages 2 and 3 are both the assistant's"),
    ([user("a"), user("a")], {}, "messages 1 and 2 are both the user's"),
    ([{"from": "robot", "value": "a"}], {}, "message 1 is from 'robot', expected human or user or gpt"),
    ([{"from": "human", "value": None}], {}, "message 1 has no text as its value"),
    ([{"from": "human", "value": "a<image>"}], {}, f"message 1, part 2: {NO_FILE}"),
]


@pytest.mark.parametrize(("messages", "row", "told"), WRONG)
def test_what_is_wrong_is_told_in_one_line_with_row_and_column(messages, row, told):
    with pytest.raises(MediaError) as caught:
        read(*messages, **row)
    (problem,) = place_problems([(READER.column, caught.value)], "talks.jsonl", 6)
    assert str(problem).startswith("talks.jsonl, row 7, column 'messages': ")
    assert told in str(problem) and "\n" not in str(problem)


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        (None, "no messages"),
        ("", "no messages"),
        (" \n", "no messages"),
        ("[]", "no messages"),
        (float("nan"), "no messages"),
        ("hello", "text that is no JSON (Expecting value"),
        ("[" * 100_000, "text that is no JSON"),
        ('"text"', "a cell of type str, expected a list of messages"),
        ('{"role": "user"}', "a cell of type dict, expected a list of messages"),
        (3, "a cell of type int, expected a list of messages"),
    ],
)
def test_a_cell_that_holds_no_messages_is_told(cell, told):
    with pytest.raises(MediaError) as caught:
        READER.read({"messages": cell})
    assert told in str(caught.value)


def test_several_inputs_of_a_modality_without_the_types_name_are_told():
    reader = ConversationReader(inputs={"left": "image", "right": "image"})
    with pytest.raises(MediaError, match=r"which several inputs read, .* not left, right"):
        reader.read({"messages": [user([{"type": "image", "path": "a"}])]})


def test_messages_of_files_are_read(tmp_path):
    rows = [
        {"messages": [user([PICTURE, ASK]), {"role": "assistant", "content": [ASK]}], "images": ["a.png"]},
        {"messages": [user([ASK, {"type": "audio", "path": "b.wav"}])], "images": []},
    ]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    pd.DataFrame(rows).to_parquet(tmp_path / "t.parquet")
    pd.DataFrame([{k: json.dumps(v) for k, v in row.items()} for row in rows]).to_csv(
        tmp_path / "t.csv", index=False
    )
    expected = [
        (Message("user", (Media("image", "a.png"), "\n", "Why?")), Message("assistant", ("Why?",))),
        (Message("user", ("Why?", "\n", Media("sound", "b.wav"))),),
    ]
    for name in ("t.jsonl", "t.parquet", "t.csv"):
        assert [READER.read(row) for row in read_table(tmp_path / name).rows()] == expected, name
