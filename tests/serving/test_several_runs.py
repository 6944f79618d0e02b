"""Several runs behind one server: one of plain models, and one that answers in words."""

import subprocess
import sys

import pytest
from fastapi.testclient import TestClient

import polymodal as pm
from polymodal.serving.app import create_app
from polymodal.serving.service import Service
from tests.serving.conftest import ADDRESS

SCRIPT = """
import sys
from fastapi.testclient import TestClient
from polymodal.serving.app import create_app
from polymodal.serving.service import Service
if __name__ == "__main__":
    app = create_app(Service.load([sys.argv[1]], decoders=1))
    with TestClient(app, base_url="http://127.0.0.1") as client:
        body = {"rows": [{"bedrooms": 3, "district": "north"}], "shares": True}
        answer = client.post("/predict", json=body)
        assert answer.status_code == 200 and answer.json()["answers"][0]["shares"]["price"], answer.text
        print(sorted({"torch", "transformers"} & set(sys.modules)))
        sys.modules["torch"] = None  # as Python does where there is none
        answer = client.post("/explain", json={"row": body["rows"][0]})
        print(answer.status_code, answer.json()["error"]["message"])
        print(client.get("/ready").json(), client.post("/predict", json=body).status_code)
"""


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A run of plain models of two inputs without media."""
    folder = tmp_path_factory.mktemp("plain")
    rows = [
        {"bedrooms": n % 6, "district": ["north", "south"][n % 2], "price": 10.0 * (n % 6) + n % 2}
        for n in range(60)
    ]
    pm.fit(
        rows, target="price", output=folder / "prices", quiet=True,
        settings={"train.candidates": ["plain"], "report.write": False, "targets.price.unit": "EUR"},
    )  # fmt: skip
    return folder / "prices"


@pytest.fixture(scope="module")
def both(plain, spoken_houses):
    service = Service.load([plain, spoken_houses / "run"], device="cpu", decoders=1)
    with TestClient(create_app(service), base_url=ADDRESS) as client:
        yield client


def test_the_run_has_to_be_named(both):
    answer = both.post("/predict", json={"rows": [{}]})
    assert answer.status_code == 422 and "this server has prices, run" in answer.json()["error"]["message"]
    (one,) = both.post("/predict", json={"run": "prices", "rows": [{"bedrooms": 3}]}).json()["answers"]
    assert one["missing"] == ["district"] and "price" in one["values"]


def test_a_target_has_its_declared_unit(both):
    described = {run["name"]: run["targets"] for run in both.get("/runs").json()["runs"]}
    assert [target["unit"] for target in described["prices"]] == ["EUR"]
    assert [target["unit"] for target in described["run"]] == [None]


@pytest.mark.parametrize("row", [{"bedrooms": 3, "district": "south"}, {"district": "north"}, {}])
def test_shares_of_plain_models_are_those_of_an_explanation(both, row):
    body = {"run": "prices", "rows": [row], "shares": True}
    (answer,) = both.post("/predict", json=body).json()["answers"]
    explained = both.post("/explain", json={"run": "prices", "row": row}).json()["answers"]
    shares = {name: each["share"] for name, each in explained[0]["inputs"].items()}
    assert answer["shares"]["price"] == pytest.approx(shares, rel=1e-4, abs=1e-5) and set(shares) == set(row)


def test_plain_models_have_no_vectors(both, plain):
    answer = both.post("/embed", json={"run": "prices", "rows": [{}]})
    assert answer.status_code == 422 and str(plain) not in answer.text
    assert "cannot embed, but predict" in answer.json()["error"]["message"]


def test_words_are_answered(both, spoken_houses):
    described = {run["name"]: run for run in both.get("/runs").json()["runs"]}["run"]
    assert described["kind"] == "language" and {"predict", "chat"} <= set(described["capabilities"])
    rows = [{"note": "garden, cellar"}, {"photo": {"base64": "bm8="}}, {}]
    good, bad, empty = both.post("/predict", json={"run": "run", "rows": rows}).json()["answers"]
    run = pm.load(spoken_houses / "run", device="cpu")
    expected = run.predict([{"photo": None, "note": "garden, cellar"}], quiet=True)["kind"][0]
    assert good["values"] == {"kind": expected} and good["missing"] == ["photo"]
    assert bad["error"]["input"] == "photo" and set(empty["values"]) == {"kind"}


def test_plain_models_are_served_without_torch_which_an_explanation_needs(plain):
    made = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(plain)], capture_output=True, text=True, timeout=300, check=False
    )
    assert made.returncode == 0, made.stderr
    loaded, explained, others = made.stdout.splitlines()
    assert loaded == "[]" and others == "{'status': 'ready'} 200"
    assert explained.startswith("501 this needs torch, which is not installed where the server runs: pip ")
