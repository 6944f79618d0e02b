"""The service: its description, its state, and what ``polymodal serve`` refuses."""

import socket

from tests.support.command import error


def test_runs_are_described(served):
    content = served.get("/runs").json()
    (run,) = content["runs"]
    assert run["name"] == "run" and run["kind"] == "heads"
    assert [target["name"] for target in run["targets"]] == ["kind", "price"]
    assert run["targets"][0]["classes"] == ["flat", "house"] and run["targets"][1]["classes"] is None
    assert [(each["name"], each["accept"]) for each in run["inputs"]] == [
        ("photo", "image/*"), ("note", None), ("bedrooms", None),
    ]  # fmt: skip
    assert {"predict", "embed", "explain"} <= set(run["capabilities"])
    assert run["metric"]["rows"] > 0 and content["limits"]["rows"] == 1000


def test_state(served):
    assert served.get("/health").json() == {"status": "ok"}
    assert served.get("/ready").json() == {"status": "ready"}
    missing = served.get("/nothing")
    assert missing.status_code == 404 and "/docs" in missing.json()["error"]["message"]
    assert served.get("/predict").status_code == 405


def test_a_port_in_use_is_one_line(fitted_houses):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = error(fitted_houses, "serve", "run", "--port", port)
    assert "cannot be listened on (address already in use)" in line and "--port" in line


def test_what_is_no_run_is_one_line(fitted_houses):
    assert "no such run folder. Did you mean 'run'?" in error(fitted_houses, "serve", "runn")
    line = error(fitted_houses, "serve", "run", "--port", "0", "--limit", "rows=5000")
    assert line.endswith("limits can be lowered, not raised")


def test_kept_rows_are_samples_that_the_service_answers_alike(served):
    described = served.get("/runs").json()["runs"][0]
    samples = served.get("/runs/run/samples").json()["samples"]
    assert len(samples) == described["samples"] > 0
    body = {"rows": [sample["row"] for sample in samples], "probabilities": True}
    answers = served.post("/predict", json=body).json()["answers"]
    for sample, answer in zip(samples, answers, strict=True):
        assert answer["values"]["kind"] == sample["answer"]["values"]["kind"]
        assert abs(answer["values"]["price"] / sample["answer"]["values"]["price"] - 1) < 1e-5
    assert served.get("/runs/other/samples").status_code == 404
    assert served.get("/runs/run/report").status_code in (200, 404)
