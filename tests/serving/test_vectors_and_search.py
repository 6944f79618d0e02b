"""``/v1/embeddings``, ``/v1/models``, ``/search`` and ``/explain``: what the run gives, and no path."""

import base64
from io import BytesIO

import numpy as np
import openai
import pytest
from fastapi.testclient import TestClient
from PIL import Image

import polymodal as pm
from polymodal.errors import RunError
from polymodal.serving.app import create_app
from polymodal.serving.served_index import condition
from polymodal.serving.service import Service
from tests.serving.conftest import ADDRESS
from tests.support.tables import write_picture
from tests.support.untrained_runs import make_run

NOTES = ["bright balcony", "a garden", "third floor, lift", "quiet street"]
FILES = ("photos/1.png", "photos/2.png")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("searched")
    for name, brightness in zip(FILES, (0.2, 0.9), strict=True):
        write_picture(folder / name, brightness, np.random.default_rng(1))
    return folder


@pytest.fixture(scope="module")
def rows(folder):
    rows = [{"note": note, "bedrooms": number + 1.0} for number, note in enumerate(NOTES)]
    pictures = [str(folder / name) for name in FILES]
    return [row | {"photo": photo} for row, photo in zip(rows, [*pictures, None, None], strict=True)]


@pytest.fixture(scope="module")
def heads(folder, rows):
    return make_run(folder / "houses", rows)


@pytest.fixture(scope="module")
def space(folder, rows):
    return make_run(folder / "space", rows, shared=True)


@pytest.fixture(scope="module")
def client(folder, rows, heads, space):
    pm.Index.build(folder / "index", space, [{**row, "sold": "it's"} for row in rows])
    service = Service({"houses": heads, "space": space}, index=folder / "index", decoders=1)
    with TestClient(create_app(service), base_url=ADDRESS) as client:
        yield client


@pytest.fixture(scope="module")
def official(client):
    return openai.OpenAI(base_url=f"{ADDRESS}/v1", api_key="none", max_retries=0, http_client=client)


@pytest.fixture(scope="module")
def picture(folder):
    content = base64.b64encode((folder / FILES[1]).read_bytes()).decode()
    return f"data:image/png;base64,{content}"


def vectors(answer):
    return np.array([entry.embedding for entry in answer.data])


def test_texts_have_the_vectors_of_their_rows(official, heads):
    answer = official.embeddings.create(model="houses", input=NOTES[:2])
    expected = heads.embed([{"note": note} for note in NOTES[:2]], quiet=True)
    np.testing.assert_allclose(vectors(answer), expected, atol=1e-5)
    counted = sum(len(heads.processor.readers["note"].read(note, None)) for note in NOTES[:2])
    assert answer.usage.prompt_tokens == answer.usage.total_tokens == counted
    assert [entry.index for entry in answer.data] == [0, 1] and answer.model == "houses"


def test_in_a_shared_space_they_are_those_of_encode(official, space, picture, folder):
    items = [NOTES[0], {"photo": picture}, {"photo": picture, "bedrooms": 2}]
    answer = official.embeddings.create(model="space", input=items, encoding_format="float")
    path = str(folder / FILES[1])
    expected = space.encode([NOTES[0], {"photo": path}, {"photo": path, "bedrooms": 2}])
    np.testing.assert_allclose(vectors(answer), expected, atol=1e-5)


def test_base64_holds_the_same_numbers(client):
    body = {"model": "space", "input": NOTES[0]}
    numbers, packed = (
        client.post("/v1/embeddings", json=body | {"encoding_format": form}).json()["data"][0]["embedding"]
        for form in ("float", "base64")
    )
    np.testing.assert_array_equal(np.frombuffer(base64.b64decode(packed), "<f4"), np.float32(numbers))


def test_the_only_dimensions_are_the_width(official, space):
    assert len(vectors(official.embeddings.create(model="space", input="a", dimensions=8))[0]) == 8
    with pytest.raises(openai.BadRequestError, match="the vectors have 8"):
        official.embeddings.create(model="space", input="a", dimensions=4)


@pytest.mark.parametrize(
    ("value", "param", "words"),
    [
        ([1, 2], None, "send texts"),
        ([[1, 2]], None, "send texts"),
        ("", "input", "at least 1 character"),
        ([], "input", "at least 1 item"),
        (["a", {"bedrooms": "many"}], "input[1]", "bedrooms"),
        (["a", {"photo": "/etc/passwd"}], "input[1]", "photo"),
        ([{}], "input[0]", "all empty"),
    ],
)
def test_an_item_that_cannot_be_read_is_named(client, value, param, words):
    answer = client.post("/v1/embeddings", json={"model": "space", "input": value})
    error = answer.json()["error"]
    assert answer.status_code == 400 and words in error["message"] and "\n" not in error["message"]
    assert error["param"] == param


def test_runs_are_models(official, client):
    assert [model.id for model in official.models.list()] == ["houses", "space"]
    model = official.models.retrieve("houses")
    assert model.object == "model" and model.created > 1_600_000_000
    with pytest.raises(openai.NotFoundError, match="Did you mean 'houses'"):
        official.models.retrieve("house")
    talk = {"model": "houses", "messages": [{"role": "user", "content": "why"}]}
    answer = client.post("/v1/chat/completions", json=talk)
    assert answer.status_code == 400 and "does not answer in words" in answer.json()["error"]["message"]


def search(client, **body):
    answer = client.post("/search", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["hits"]


def test_a_picture_finds_itself_and_no_answer_names_a_file(client, picture, folder):
    hits = search(client, row={"photo": picture}, limit=3)
    assert (
        hits[0]["row"] == 2 and hits[0]["input"] == "photo" and hits[0]["score"] == pytest.approx(1, abs=1e-4)
    )
    assert len(hits) == 3 and [hit["score"] for hit in hits] == sorted(
        (h["score"] for h in hits), reverse=True
    )
    assert hits[0]["values"] == {"note": NOTES[1], "bedrooms": 2, "sold": "it's"}
    preview = base64.b64decode(hits[0]["preview"].removeprefix("data:image/jpeg;base64,"))
    assert Image.open(BytesIO(preview)).format == "JPEG"
    assert "photos" not in str(hits) and str(folder) not in str(hits)


def test_conditions_choose_the_rows(client):
    row = {"note": "street"}
    assert {hit["row"] for hit in search(client, row=row, where={"bedrooms": [1, 3]})} == {1, 3}
    assert {hit["row"] for hit in search(client, row=row, where={"sold": "it's", "bedrooms": 4})} == {4}
    assert {hit["row"] for hit in search(client, row=row, where="bedrooms >= 3")} == {3, 4}
    assert {hit["row"] for hit in search(client, row=row, where={"photo": None})} == {3, 4}
    assert {hit["input"] for hit in search(client, row=row, input="note")} == {"note"}


def test_a_condition_is_written_with_its_quotes():
    assert condition({'a "b"': "it's", "c": [1, "x"], "d": None, "e": True}) == (
        '"a ""b""" = \'it\'\'s\' and "c" in (1, \'x\') and "d" is empty and "e" = true'
    )
    assert condition(None) is None and condition({}) is None


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"row": {}}, 422, "all empty"),
        ({"row": {"noet": "a"}}, 422, "Did you mean 'note'"),
        ({"row": {"note": "a"}, "where": {"year": 3}}, 422, "no column 'year'"),
        ({"row": {"note": "a"}, "where": {"bedrooms": []}}, 422, "no value"),
        ({"row": {"note": "a"}, "index": "other"}, 404, "There is: index"),
        ({"row": {"note": "a"}, "limit": 0}, 422, "limit"),
        ({"row": {"photo": "data:image/png;base64,AAAA"}}, 422, "photo"),
    ],
)
def test_a_search_that_cannot_be_made_is_one_line(client, folder, body, status, words):
    answer = client.post("/search", json=body)
    message = answer.json()["error"]["message"]
    assert answer.status_code == status and words in message and str(folder) not in answer.text


def test_the_run_that_made_the_index_is_the_one_that_searches(client):
    runs = {run["name"]: run["capabilities"] for run in client.get("/runs").json()["runs"]}
    assert "search" in runs["space"] and "search" not in runs["houses"]


def test_an_index_needs_the_run_that_made_it(client, heads, folder):
    with pytest.raises(RunError, match="which is not served"):
        Service({"houses": heads}, index=folder / "index", decoders=1)


def test_an_explanation_is_that_of_the_run(client, heads):
    row = {"note": NOTES[0], "bedrooms": 2}
    answer = client.post("/explain", json={"run": "houses", "row": row}).json()
    [entry] = answer["answers"]
    frame = heads.explain([row], quiet=True)
    shares = frame[frame["part"] == "input"].set_index("input")["share"]
    assert entry["target"] == "kind" and entry["missing"] == ["photo"]
    assert {name: part["share"] for name, part in entry["inputs"].items()} == pytest.approx(dict(shares))
    assert answer["sentences"][0].startswith("Completeness error of the attributions")


def test_an_explanation_decodes_no_media_beside_the_model(client, picture, monkeypatch):
    def decode(*arguments, **options):
        raise AssertionError("decoded in the process of the service")

    monkeypatch.setattr("PIL.Image.open", decode)
    answer = client.post("/explain", json={"run": "houses", "row": {"photo": picture}})
    assert answer.status_code == 200 and list(answer.json()["answers"][0]["inputs"]) == ["photo"]


def test_an_explanation_is_also_a_page_without_a_path(client, folder, picture):
    body = {"run": "houses", "row": {"note": NOTES[0], "photo": picture}}
    answer = client.post("/explain", json=body, headers={"Accept": "text/html,application/json"})
    assert answer.headers["content-type"].startswith("text/html")
    assert "sandbox" in answer.headers["content-security-policy"]
    assert "data:image/jpeg" in answer.text and "Run houses" in answer.text and str(folder) not in answer.text


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"run": "space", "row": {"note": "a"}}, "cannot explain"),
        ({"run": "houses", "row": {"note": "a"}, "targets": ["kin"]}, "Did you mean 'kind'"),
        ({"run": "houses", "row": {"photo": "data:image/png;base64,AAAA"}}, "photo"),
        ({"run": "houses", "row": {"note": 5}}, "note"),
    ],
)
def test_what_cannot_be_explained_is_refused(client, folder, body, words):
    answer = client.post("/explain", json=body)
    assert answer.status_code == 422 and words in answer.json()["error"]["message"]
    assert str(folder) not in answer.text
