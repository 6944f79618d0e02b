"""What a fit prints before it starts: warnings and notes of the check, each once, then what it will do."""

import pytest

from polymodal.data.checks.rejected import NAME
from polymodal.training.loop.parameter_groups import _rounded
from tests.support.command import polymodal, settings
from tests.support.tables import house_rows, write_houses, write_table
from tests.support.talks import language_options


def plan_of(err: str) -> dict[str, str]:
    """The lines of the plan by heading, in their order."""
    heads = ("device", "rows", "inputs", "targets", "objectives", "prompt", "answer", "models", "expected")
    words = [line.split(maxsplit=1) for line in err.splitlines()]
    return {pair[0]: pair[1] for pair in words if pair and pair[0] in heads}


@pytest.fixture(scope="module")
def houses(tmp_path_factory):
    """Forty rows, a column that gives the price away, and the row of a photo that is not there."""
    folder = tmp_path_factory.mktemp("houses")
    rows = [row | {"cents": 100 * row["price"]} for row in house_rows(folder)]
    write_table(folder / "houses.csv", rows)
    (folder / next(row["photo"] for row in rows if row["photo"])).unlink()
    return folder


def test_warnings_come_first_and_once_then_the_plan(houses, tmp_path):
    fit = ["fit", "houses.csv", "-t", "price", "-i", "photo,bedrooms,cents", "-o", tmp_path / "run",
           "--on-error", "skip", "--threads", "1"]  # fmt: skip
    result = polymodal(
        *fit, *settings("photo", train__candidates="[plain,fused]", train__epochs=2), folder=houses
    )
    assert result.status == 0, result.err
    lines = result.err.splitlines()
    leak = next(index for index, line in enumerate(lines) if line.startswith("warning: ") and "cents" in line)
    skipped = lines.index(f"note: 1 row left out, listed in {NAME}")
    assert max(leak, skipped) < lines.index("device      cpu, 1 thread") < lines.index("candidate plain")
    remarks = [line for line in lines if line.startswith(("warning: ", "note: "))]
    assert len(set(remarks)) == len(remarks)
    assert result.err.count("1 row left out") == 1
    plan = plan_of(result.err)
    assert plan["rows"] == "train 31, validation 4, test 4, left out 1"
    inputs = plan["inputs"].split(" · ")
    assert inputs[0] == "photo: image, from scratch, 16 × 16 px" and "bedrooms, cents: number" in inputs
    assert plan["targets"] == "price: regression"
    models = plan["models"]
    assert models.startswith("plain (boosting, forest, kernel, linear), fused (transformer fusion, ")
    assert models.endswith(" k parameters, all trained)") and plan["expected"] == "at most 2 epochs"


def test_machines_read_the_same_as_before(houses, tmp_path):
    fit = ["fit", "houses.csv", "-t", "price", "-i", "bedrooms,cents", *settings()]
    silent = polymodal(*fit, "-o", tmp_path / "run", "--json", folder=houses)
    assert silent.err == "" and any("cents" in line for line in silent.json["warnings"])
    again = polymodal(*fit, "-o", tmp_path / "run", "--resume", folder=houses)
    assert "was finished already" in again.err and again.err.count("warning: ") == len(
        silent.json["warnings"]
    )


def test_plain_models_alone_need_no_encoder(houses, tmp_path):
    fit = [
        "fit",
        "houses.csv",
        "-t",
        "kind",
        "-i",
        "note,bedrooms",
        "-o",
        tmp_path / "run",
        "--preset",
        "fast",
    ]
    plan = plan_of(polymodal(*fit, *settings(), folder=houses).err)
    assert plan["inputs"] == "note: text · bedrooms: number" and "expected" not in plan
    assert plan["targets"] == "kind: classification, 2 classes"
    assert plan["models"] == "plain (boosting, kernel, linear)" and plan["device"].startswith("cpu, ")


def test_of_several_fits_the_first_prints_the_plan(houses, tmp_path):
    fit = ["fit", "houses.csv", "-t", "price", "-i", "bedrooms,cents", "-o", tmp_path / "run", "--seeds", "2"]
    result = polymodal(*fit, *settings(), folder=houses)
    assert result.status == 0 and result.err.count("device      ") == 1
    lines = result.err.splitlines()
    assert "cents" in lines[0] and lines[0].startswith("warning: ")
    assert result.err.count(lines[0]) == 1


def test_the_plan_of_a_pretraining_and_of_answers_in_words(tmp_path):
    write_houses(tmp_path, empty=0.0)
    run = ["pretrain", "houses.csv", "-i", "bedrooms,district", "-o", "space", *settings()]
    plan = plan_of(polymodal(*run, folder=tmp_path).err)
    assert plan["objectives"] == "contrastive" and "targets" not in plan and "models" in plan
    fit = ["fit", "houses.csv", "-t", "kind", "-i", "bedrooms", "--from", "space", "-o", "run", *settings()]
    assert plan_of(polymodal(*fit, folder=tmp_path).err)["inputs"].endswith(
        ", encoder of the earlier run (tuned)"
    )
    words = ["fit", "houses.csv", "--prompt", "{note}", "--answer", "{kind}", *language_options(), "-o", "w"]
    plan = plan_of(polymodal(*words, folder=tmp_path).err)
    assert plan["prompt"] == "{note}" and plan["answer"] == "{kind}"
    assert " parameters, all trained)" in plan["models"] and plan["expected"].startswith("at most ")


def test_numbers_of_parameters_are_rounded():
    assert [_rounded(count) for count in (12, 4567, 1_234_567, 7_000_000_000)] == [
        "12",
        "4.57 k",
        "1.23 M",
        "7 G",
    ]
