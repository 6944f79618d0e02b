"""Reports on generated answers: which rows they are about, and what their intervals assume."""

import json

import pandas as pd

import polymodal as pm
from tests.support.tables import write_houses
from tests.support.talks import assistant, language, user

SPLIT = ["train"] * 12 + ["validation"] * 4 + ["test"] * 12
KINDS = ["flat", "house"] * 14


def test_rows_that_share_a_file_are_one_cluster_in_messages_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_houses(tmp_path, rows=3, empty=0.0)
    photos = pd.read_csv("houses.csv")["photo"].tolist()
    rows = [
        {"split": split, "messages": [user(f"which is {n}?", image=photos[n % 3]), assistant(KINDS[n])]}
        for n, split in enumerate(SPLIT)
    ]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = language(
        generation__messages="messages", inputs__image__size=16, inputs__image__tokens=2,
        inputs__image__modality="image", data__split="split", report__write=True,
    )  # fmt: skip
    run = pm.fit("t.jsonl", output="run", settings=settings)
    worth = json.loads((run.folder / "report.json").read_text())["targets"]["output"]["worth"]
    assert (worth["rows"], worth["groups"]) == (12, 3)
    assert worth["grouped_by"] == "rows that share a file of 'image'"


def test_the_report_on_the_runs_own_rows_skips_what_the_fit_skipped(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    notes = [f"which is {n}?" for n in range(len(SPLIT))]
    notes[20] = "a very long note " * 30
    pd.DataFrame({"note": notes, "kind": KINDS, "split": SPLIT}).to_csv("t.csv", index=False)
    settings = language(
        generation__too_long="leave_out", generation__language_model__max_position_embeddings=64,
        data__split="split", report__write=True,
    )  # fmt: skip
    run = pm.fit("t.csv", prompt="{note}", answer="{kind}", output="run", settings=settings)
    of_fit = json.loads((run.folder / "report.json").read_text())
    assert of_fit["rows"] == 11
    page = run.report(output="again")
    assert json.loads((page.parent / "report.json").read_text())["targets"] == of_fit["targets"]
