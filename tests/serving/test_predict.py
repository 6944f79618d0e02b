"""``POST /predict``: answers equal those of the run, and each bad item is named."""

import base64
import csv
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

import polymodal as pm


@pytest.fixture(scope="module")
def rows(fitted_houses):
    """Rows as Python reads them, with the paths of their pictures."""
    with open(fitted_houses / "houses.csv", encoding="utf-8") as file:
        table = list(csv.DictReader(file))[:6]
    return [
        {
            "photo": str(fitted_houses / row["photo"]) if row["photo"] else None,
            "note": row["note"] or None,
            "bedrooms": int(row["bedrooms"]) if row["bedrooms"] else None,
        }
        for row in table
    ]


def as_json(row):
    """A row as requests have it: its picture as a data URI."""
    path = row["photo"]
    content = None if path is None else base64.b64encode(Path(path).read_bytes()).decode()
    return row | {"photo": content and f"data:image/png;base64,{content}"}


def test_answers_are_those_of_the_run(served, rows, fitted_houses):
    frame = pm.load(fitted_houses / "run", device="cpu").predict(rows, probabilities=True, quiet=True)
    body = {"rows": [as_json(row) for row in rows], "probabilities": True}
    answer = served.post("/predict", json=body).json()
    assert answer["run"] == "run" and len(answer["answers"]) == len(rows)
    for (_, expected), got in zip(frame.iterrows(), answer["answers"], strict=True):
        assert got["values"] == {"kind": expected["kind"], "price": float(expected["price"])}
        for label in ("flat", "house"):
            assert got["probabilities"]["kind"][label] == float(expected[f"kind_probability_{label}"])
        if "price_low" in frame:
            assert got["intervals"]["price"] == [float(expected["price_low"]), float(expected["price_high"])]
        assert ", ".join(got["missing"]) == expected["missing"]


def test_any_input_may_be_missing(served):
    (answer,) = served.post("/predict", json={"rows": [{}]}).json()["answers"]
    assert answer["missing"] == ["photo", "note", "bedrooms"]
    assert np.isfinite(answer["values"]["price"]) and "probabilities" not in answer


def test_a_bad_item_fails_alone(served, rows):
    broken = {"photo": {"base64": base64.b64encode(b"no picture").decode()}}
    body = {"rows": [as_json(rows[0]), broken, {"bedrooms": True}, {"bedrooms": 3}]}
    answers = served.post("/predict", json=body).json()["answers"]
    assert [sorted(entry)[0] == "error" for entry in answers] == [False, True, True, False]
    assert answers[1]["error"]["row"] == 2 and answers[1]["error"]["input"] == "photo"
    assert answers[2]["error"]["message"] == "bedrooms: true, expected a number such as 3.5"


def test_shares_sum_to_the_answer_less_that_of_no_input(served, rows):
    body = {"rows": [as_json(rows[1]), {}], "probabilities": True, "shares": True}
    answer, empty = served.post("/predict", json=body).json()["answers"]
    assert set(answer["shares"]["price"]) == {name for name, cell in rows[1].items() if cell is not None}
    moved = answer["values"]["price"] - empty["values"]["price"]
    assert sum(answer["shares"]["price"].values()) == pytest.approx(moved, rel=1e-3)
    assert empty["shares"] == {"kind": {}, "price": {}}
    many = served.post("/predict", json={"rows": [{}] * 17, "shares": True})
    assert many.status_code == 422 and "at most 16 with shares" in many.json()["error"]["message"]


def test_vectors_are_those_of_the_run(served, rows, fitted_houses):
    run = pm.load(fitted_houses / "run", device="cpu")
    for name in (None, "photo"):
        vectors = served.post("/embed", json={"rows": [as_json(row) for row in rows], "input": name}).json()
        expected = run.embed(rows, input=name, quiet=True)
        for vector, own in zip(vectors["vectors"], expected, strict=True):
            assert vector == (None if np.isnan(own).all() else own.tolist())
    wrong = served.post("/embed", json={"rows": [{}], "input": "foto"})
    assert wrong.status_code == 422 and "Did you mean 'photo'?" in wrong.json()["error"]["message"]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b'{"rows": [{"bedrooms": NaN}]}', 422, "NaN is no number in JSON"),
        (b'{"rows": [{"bedrooms": 1e999}]}', 422, "expected a finite number"),
        (b'{"rows": [{"bedrooms": false}]}', 422, "false, expected a number"),
        (b'{"rows": [{"bedroms": 3}]}', 422, "Did you mean 'bedrooms'?"),
        (b'{"rows": [{"photo": "/etc/passwd"}]}', 422, "names of files are not read"),
        (b'{"rows": [{"photo": {"url": "http://localhost/x.png"}}]}', 422, "is not allowed on this server"),
        (b'{"rows": []}', 422, "at least 1"),
        (b'{"rows": {"bedrooms": 3}}', 422, "rows: expected a list"),
        (b'[{"bedrooms": 3}]', 422, 'the body: expected an object, such as {"rows": [{…}]}'),
        (b'{"row": [{}]}', 422, "Did you mean 'rows'?"),
        (b'{"rows": [{}], "run": "other"}', 404, "there is no run 'other'"),
        (b'{"rows": [{}', 400, "no JSON"),
        (b"\xff", 400, "no JSON"),
        (b"[" * 100_000, 422, "deep"),
        (b'{"rows": [{"note": "\\ud800"}]}', 400, "half a character"),
        (b'{"rows": [' + b"{}," * 1000 + b"{}]}", 422, "1,001 rows, expected at most 1,000"),
    ],
)
def test_a_bad_request_is_one_line_of_json(served, body, status, words):
    answer = served.post("/predict", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert words in error["message"] and "\n" not in error["message"]
    assert set(error) == {"message", "problems"}


def png(width, height, content):
    """A PNG whose header names a size, whatever its content holds."""
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", content),
        (b"IEND", b""),
    ]
    chunks = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda good: png(60_000, 60_000, zlib.compress(bytes(10**6))), "pixels"),
        (lambda good: png(64, 64, zlib.compress(bytes(100))), ""),
        (lambda good: good[: len(good) // 2], ""),
        (lambda good: good[:20], ""),
        (lambda good: b"", ""),
        (lambda good: b"<svg xmlns='http://www.w3.org/2000/svg'><image href='/etc/passwd'/></svg>", ""),
        (lambda good: b"GIF89a" + bytes(1000), ""),
        (lambda good: b"RIFF\xff\xff\xff\xffWAVEfmt ", ""),
    ],
    ids=["bomb", "short", "half", "header", "empty", "svg", "gif", "sound"],
)  # fmt: skip
def test_hostile_pictures_are_named_and_harm_nothing(served, fitted_houses, make, words):
    content = make((fitted_houses / "photos/1.png").read_bytes())
    rows = [{"photo": {"base64": base64.b64encode(content).decode()}}, {"bedrooms": 3}]
    answer = served.post("/predict", json={"rows": rows})
    bad, good = answer.json()["answers"]
    assert answer.status_code == 200 and good["values"]["kind"] in ("flat", "house")
    assert bad["error"]["input"] == "photo" and words in bad["error"]["message"]
    assert "\n" not in bad["error"]["message"] and "/etc" not in bad["error"]["message"]


def test_another_content_type_is_refused(served):
    answer = served.post("/predict", content=b"{}", headers={"content-type": "text/plain"})
    assert answer.status_code == 415 and "expected application/json" in answer.json()["error"]["message"]
