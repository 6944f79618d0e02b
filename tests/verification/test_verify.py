"""``polymodal verify RUN``: kept rows are answered as the fit did, and what is changed is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from safetensors.torch import load_file, save_file

import polymodal as pm
from polymodal.artifact.samples import read_samples
from tests.support.command import error, polymodal, settings
from tests.support.tables import house_rows, write_table

PYTHON = ["--paths", "python"]


def verify(folder: Path, *more: str) -> Any:
    return polymodal("verify", "run", *PYTHON, *more, folder=folder)


def without_sums(folder: Path) -> Path:
    (folder / "run" / "checksums.json").unlink()
    return folder / "run"


def change_rows(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = without_sums(folder) / "samples/rows.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def test_a_run_answers_as_its_fit_did(fitted_houses: Path) -> None:
    made = verify(fitted_houses)
    assert made.status == 0, made.err
    files, python = made.out.splitlines()
    assert files == "files: as they were written"
    assert python.startswith("python: 4 rows, largest difference ") and python.endswith(", equal")


def test_the_rows_are_test_rows_with_the_answers_that_the_fit_wrote(fitted_houses: Path) -> None:
    samples = read_samples(fitted_houses / "run")
    kept = pd.read_parquet(fitted_houses / "run/predictions.parquet").set_index("row")
    assert samples.split == "test" and [sample.row for sample in samples.rows] == sorted(kept.index)
    for sample in samples.rows:
        answer = sample.answer
        assert answer["values"]["kind"] == kept.loc[sample.row, "kind"]
        assert answer["values"]["price"] == pytest.approx(kept.loc[sample.row, "price"], rel=1e-6)
        assert sum(answer["probabilities"]["kind"].values()) == pytest.approx(1)
        assert ", ".join(answer["missing"]) == kept.loc[sample.row, "missing"]


def test_the_folder_names_no_machine_and_its_media_are_copies(fitted_houses: Path) -> None:
    folder = fitted_houses / "run/samples"
    assert str(fitted_houses) not in (folder / "rows.json").read_text(encoding="utf-8")
    kept = {path.read_bytes() for path in (folder / "media").iterdir()}
    assert kept and kept <= {path.read_bytes() for path in (fitted_houses / "photos").iterdir()}
    sums = json.loads((fitted_houses / "run/checksums.json").read_text())["sha256"]
    names = [path.relative_to(folder.parent).as_posix() for path in folder.rglob("*") if path.is_file()]
    assert set(names) <= sums.keys()


def test_json_has_every_path_and_whether_all_are_equal(fitted_houses: Path) -> None:
    found = verify(fitted_houses, "--json").json
    assert found["equal"] is True and found["samples"] == 4
    python = found["paths"][1]
    assert (python["path"], python["verdict"], python["rows"]) == ("python", "equal", 4)
    assert python["largest_difference"] <= python["tolerance"] == 1e-5


def test_python_gives_the_same(fitted_houses: Path) -> None:
    found = pm.load(fitted_houses / "run").verify(paths=["python"])
    assert found.equal and "largest difference" in repr(found)


def test_a_changed_file_is_named_and_nothing_is_replayed(folder: Path) -> None:
    path = folder / "run/samples/rows.json"
    path.write_text(path.read_text(encoding="utf-8") + " ", encoding="utf-8")
    made = verify(folder)
    assert made.status == 1
    assert (
        "files: failed (samples/rows.json is not as it was written" in made.out and "python" not in made.out
    )


def test_a_changed_weight_is_a_difference(folder: Path) -> None:
    path = without_sums(folder) / "model.safetensors"
    weights = load_file(path)
    name = [name for name in weights if "head" in name and weights[name].ndim == 2][-1]
    weights[name] = weights[name] * 1.5
    save_file(weights, path, {"format": "pt"})
    made = verify(folder)
    samples = read_samples(folder / "run")
    assert made.status == 1 and "different" in made.out
    expected = samples.rows[0].answer["values"]["price"]
    line = made.err.splitlines()[0]
    assert line.startswith(f"python: row {samples.rows[0].row}, 'price': expected {expected!r}, found "), (
        made.err
    )


def test_a_changed_reader_is_a_difference(folder: Path) -> None:
    path = without_sums(folder) / "processor_config.json"
    content = json.loads(path.read_text())
    text = json.dumps(content)
    reader = next(entry for entry in content["readers"] if "deviation" in json.dumps(entry))
    before = json.dumps(reader)
    key = "deviation"
    holder = reader if key in reader else reader["settings"]
    holder[key] = holder[key] * 2
    path.write_text(text.replace(before, json.dumps(reader)))
    made = verify(folder)
    assert made.status == 1 and made.err.startswith("python: row ") and ": expected " in made.err


@pytest.mark.parametrize("kind", ["label", "number"])
def test_a_changed_answer_is_a_difference(folder: Path, kind: str) -> None:
    samples = read_samples(folder / "run")
    row, values = samples.rows[1].row, samples.rows[1].answer["values"]
    other = {"label": ("kind", "castle"), "number": ("price", values["price"] * (1 + 3e-5))}[kind]
    change_rows(folder, lambda content: content["rows"][1]["answer"]["values"].update([other]))
    made = verify(folder)
    assert made.status == 1
    target, expected = other
    assert made.err.splitlines()[0].startswith(
        f"python: row {row}, '{target}': expected {expected!r}, found {values[target]!r}"[:60]
    )


def test_a_difference_below_the_tolerance_is_none(folder: Path) -> None:
    change_rows(
        folder,
        lambda content: content["rows"][1]["answer"]["values"].update(
            price=content["rows"][1]["answer"]["values"]["price"] * (1 + 5e-6)
        ),
    )
    made = verify(folder)
    assert (
        made.status == 0 and "(row " in made.out and made.out.splitlines()[0].startswith("files: not checked")
    )


@pytest.mark.parametrize("name", ["../run.yaml", "/etc/hostname", "media/../rows.json", "media/gone.png"])
def test_samples_name_no_file_outside_of_their_media(folder: Path, name: str) -> None:
    change_rows(folder, lambda content: content["rows"][0]["cells"].update(photo={"file": name}))
    assert "no readable samples" in error(folder, "verify", "run", *PYTHON)


def test_links_out_of_the_samples_are_refused(folder: Path) -> None:
    link = without_sums(folder) / "samples/media/link.png"
    link.symlink_to("/etc/hostname")
    made = verify(folder)
    assert made.status == 1 and "is a link out of the run folder" in made.out


def test_a_run_without_samples_loads_and_verify_has_the_reason(folder: Path) -> None:
    shutil.rmtree(without_sums(folder) / "samples")
    pm.load(folder / "run")
    made = verify(folder)
    assert made.status == 0
    (line,) = made.out.splitlines()[1:]
    assert line.startswith("samples: not replayed (the run folder has no samples/") and "--overwrite" in line


def test_a_path_that_is_none_is_refused(fitted_houses: Path) -> None:
    said = error(fitted_houses, "verify", "run", "--paths", "pyton")
    assert "'pyton'" in said and "python" in said


def test_a_saved_run_takes_its_samples_along(fitted_houses: Path, tmp_path: Path) -> None:
    run = pm.load(fitted_houses / "run")
    run.save(tmp_path / "copy")
    run.save(tmp_path / "copy")
    assert pm.load(tmp_path / "copy").verify(paths=["python"]).equal
    assert not list((tmp_path / "copy").rglob("*.part"))


@pytest.mark.parametrize("setting", ["data.private=true", "report.samples=0", "report.media=false"])
def test_no_rows_are_kept_where_they_must_not(tmp_path: Path, setting: str) -> None:
    write_table(tmp_path / "t.csv", [{"x": n % 9 / 2, "kind": "ab"[n % 2]} for n in range(60)])
    fit = ["fit", "t.csv", "-t", "kind", "-o", "run", "--set", setting]
    assert polymodal(*fit, *settings(), folder=tmp_path).status == 0
    assert not (tmp_path / "run/samples").exists()
    made = verify(tmp_path)
    assert made.status == 0 and "samples: not replayed (the run keeps no rows" in made.out


def test_a_fit_ends_with_the_answers_of_the_loaded_run(tmp_path: Path, replaying: None) -> None:
    write_table(tmp_path / "t.csv", house_rows(tmp_path, 40))
    fit = ["fit", "t.csv", "-t", "kind", "-i", "bedrooms,voice", "-o", "run", *settings("voice")]
    made = polymodal(*fit, folder=tmp_path)
    assert (
        made.status == 0
        and "loaded again from its folder, the run answers 4 rows as after training" in made.err
    )
    assert (tmp_path / "run/samples/media").is_dir()
    before = (tmp_path / "run/samples/rows.json").read_bytes()
    assert polymodal(*fit, "--resume", folder=tmp_path).status == 0
    assert (tmp_path / "run/samples/rows.json").read_bytes() == before


def test_a_run_that_answers_otherwise_once_loaded_is_kept_with_a_warning(
    tmp_path: Path, replaying: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from polymodal.pipelines import fit_samples

    replay = fit_samples.replayed_at_the_end

    def damaged(folder: Path) -> Any:
        (folder / "checksums.json").unlink()
        weights = load_file(folder / "model.safetensors")
        save_file(
            {name: value * 0.5 for name, value in weights.items()},
            folder / "model.safetensors",
            {"format": "pt"},
        )
        return replay(folder)

    monkeypatch.setattr(fit_samples, "replayed_at_the_end", damaged)
    write_table(tmp_path / "t.csv", [{"x": n % 9 / 2, "y": n % 9 * 2.0 + n / 64} for n in range(60)])
    made = polymodal("fit", "t.csv", "-t", "y", "-o", "run", *settings(), folder=tmp_path)
    assert made.status == 0 and "warning: the run as loaded from its folder does NOT answer" in made.err
    assert "'y': expected " in made.err
    recorded = json.loads((tmp_path / "run/metrics.json").read_text())
    assert any("does NOT answer" in line for line in recorded["warnings"]) and recorded["pages"] == "failed"


def test_words_are_replayed_and_a_changed_one_is_named(spoken_houses: Path, tmp_path: Path) -> None:
    shutil.copytree(spoken_houses / "run", tmp_path / "run")
    made = verify(tmp_path)
    assert made.status == 0 and "python: 4 rows, equal" in made.out, made.out + made.err
    change_rows(tmp_path, lambda content: content["rows"][0]["answer"]["values"].update(kind="a castle"))
    made = verify(tmp_path)
    assert made.status == 1 and "'kind': expected 'a castle', found " in made.err
