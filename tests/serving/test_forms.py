"""``POST /predict`` as a form: one row by its parts, or rows that refer to files."""

import json

import pytest


@pytest.fixture(scope="module")
def photo(fitted_houses):
    return (fitted_houses / "photos" / "1.png").read_bytes()


def answers(response):
    assert response.status_code == 200, response.text
    return response.json()["answers"]


def test_a_part_per_input(served, photo):
    data = {"note": "garden cellar", "bedrooms": "3", "probabilities": "true"}
    (answer,) = answers(served.post("/predict", data=data, files={"photo": ("../../x.png", photo)}))
    assert answer["missing"] == [] and set(answer["probabilities"]["kind"]) == {"flat", "house"}
    uri = {"base64": __import__("base64").b64encode(photo).decode()}
    row = {"note": "garden cellar", "bedrooms": 3, "photo": uri}
    (same,) = answers(served.post("/predict", json={"rows": [row], "probabilities": True}))
    assert same == answer


def test_empty_parts_are_missing(served):
    (answer,) = answers(
        served.post("/predict", data={"note": "", "bedrooms": ""}, files={"photo": ("", b"")})
    )
    assert answer["missing"] == ["photo", "note", "bedrooms"]


def test_several_parts_of_a_name_are_a_list(served, photo):
    files = [("photo", ("a.png", photo)), ("photo", ("b.png", photo))]
    (answer,) = answers(served.post("/predict", files=files))
    assert answer["missing"] == ["note", "bedrooms"]


def test_rows_that_refer_to_files(served, photo):
    rows = [{"photo": {"file": "first"}}, {"photo": {"file": "second"}, "bedrooms": 2}]
    response = served.post("/predict", data={"rows": json.dumps(rows)}, files={"first": ("a.png", photo)})
    good, bad = answers(response)
    assert good["missing"] == ["note", "bedrooms"]
    assert bad["error"]["message"] == "photo: there is no part 'second' with a file. There are: first"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"bedroms": "3"}, "Did you mean 'bedrooms'?"),
        ({"bedrooms": "three"}, "'three', expected a number"),
        ({"bedrooms": "nan"}, "expected a finite number"),
        ({"note": "a", "probabilities": "maybe"}, "expected true or false"),
        ({"photo": "/etc/passwd"}, "names of files are not read"),
        ({"rows": "[1]"}, "expected an object"),
        ({"rows": "[]"}, "at least 1"),
    ],
)
def test_bad_parts_are_named(served, data, words):
    response = served.post("/predict", files={name: (None, value) for name, value in data.items()})
    assert response.status_code == 422 and words in response.json()["error"]["message"], response.text


def test_what_is_no_form_is_one_line(served):
    response = served.post("/predict", content=b"x", headers={"content-type": "multipart/form-data"})
    assert response.status_code == 400 and "boundary" in response.json()["error"]["message"]
