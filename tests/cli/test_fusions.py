"""``polymodal fit --fusions``: each as if it were fitted alone, one table, resumed where it stopped."""

import json
import re
from unittest import mock

import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file

import polymodal as pm
from polymodal.data.readers.image import ImageReader
from polymodal.evaluation.number_text import metric
from polymodal.training.loop.training_progress import TrainingProgress
from tests.support.command import error, polymodal, settings
from tests.support.tables import tiny, write_houses

FIT = ["fit", "houses.csv", "-t", "kind", "-i", "note,bedrooms"]


def fits(folder, *more, **options):
    """``polymodal fit`` of three fusions on two inputs."""
    fusions = () if "--fusions" in more else ("--fusions", "concat,transformer,perceiver")
    return polymodal(*FIT, *fusions, *settings(**({"train__epochs": 2} | options)), *more, folder=folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Houses, and three fits in ``runs``."""
    folder = tmp_path_factory.mktemp("fusions")
    write_houses(folder, rows=60)
    result = fits(folder, "-o", "runs")
    assert result.status == 0, result.err
    (folder / "said").write_text(result.out)
    return folder


@pytest.mark.slow
def test_each_is_the_run_that_the_fusion_alone_gives(folder, tmp_path):
    write_houses(tmp_path, rows=60)
    alone = polymodal(
        *FIT, "-o", "alone", *settings(fusion__name="perceiver", train__epochs=2), folder=tmp_path
    )
    assert alone.status == 0, alone.err
    a = load_file(tmp_path / "alone/model.safetensors")
    b = load_file(folder / "runs/perceiver/model.safetensors")
    assert a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
    for file in ("run.yaml", "config.json", "processor_config.json"):
        assert (tmp_path / "alone" / file).read_text() == (folder / "runs/perceiver" / file).read_text()
    for name in ("concat", "transformer", "perceiver"):
        run = pm.load(folder / "runs" / name)
        assert run.declaration.fusion.name == run.model.config.fusion["name"] == name
        assert len(pd.read_parquet(run.folder / "predictions.parquet")) == 6
        assert not (run.folder / "checkpoints").exists()


def test_the_table_says_what_the_runs_say(folder):
    said = (folder / "said").read_text()
    summary = json.loads((folder / "runs/fusions.json").read_text())
    assert [fit["name"] for fit in summary["fusions"]] == ["concat", "transformer", "perceiver"]
    for fit in summary["fusions"]:
        results = json.loads((folder / "runs" / fit["name"] / "metrics.json").read_text())
        assert fit["test"] == results["test"] and fit["epoch"] == results["validation"]["epoch"]
        assert fit["validation"] == results["validation"]["kind.accuracy"]
        assert fit["parameters"] == results["parameters"] == parameters(folder / "runs" / fit["name"])
        (line,) = re.findall(rf"^{fit['name']}(?: \*)? +(\S.*)$", said, re.M)
        reached = (fit["validation"], fit["test"]["kind"]["accuracy"])
        assert line.split()[:4] == " ".join(metric("accuracy", value) for value in reached).split()
        assert f"{fit['parameters']:,}" in line.split()
    assert len(re.findall(r"^\w+ \* ", said, re.M)) == 1
    assert re.search(rf"^{summary['best']} \* ", said, re.M)
    assert f"predict runs/{summary['best']} TABLE" in said


def parameters(run):
    return sum(parameter.numel() for parameter in pm.load(run).model.parameters())


def test_the_best_is_the_best_on_the_validation_rows(folder):
    summary = json.loads((folder / "runs/fusions.json").read_text())
    best = max(summary["fusions"], key=lambda fit: fit["selection"])
    assert summary["best"] == best["name"]
    chosen = next(fit for fit in summary["fusions"] if fit["name"] == summary["best"])
    assert chosen["validation"] == max(fit["validation"] for fit in summary["fusions"])


def test_what_is_there_is_not_replaced_unasked(folder):
    before = (folder / "runs/concat/model.safetensors").read_bytes()
    cure = "Give another folder with -o, or --overwrite, or --resume"
    line = error(folder, *FIT, "--fusions", "sum,concat", "-o", "runs", *settings())
    assert line == f"runs/concat: holds a run already. {cure}"
    assert (folder / "runs/concat/model.safetensors").read_bytes() == before
    assert not (folder / "runs/sum").exists()


def test_finished_fits_are_not_repeated(folder):
    before = (folder / "runs/concat/model.safetensors").stat().st_mtime_ns
    with mock.patch("polymodal.pipelines.multi_fit.fit_one", side_effect=AssertionError("was fitted again")):
        result = fits(folder, "-o", "runs", "--resume", "--json")
    assert result.status == 0, result.err
    assert result.json == json.loads((folder / "runs/fusions.json").read_text())
    assert (folder / "runs/concat/model.safetensors").stat().st_mtime_ns == before
    other = error(folder, *FIT, "--fusions", "concat", "-o", "runs", "--resume", *settings(train__seed=1))
    assert "runs/concat: its run.yaml declares something else" in other


@pytest.mark.slow
def test_interrupted_in_the_second_it_goes_on_there_to_the_same_weights(folder, tmp_path):
    write_houses(tmp_path, rows=60)

    def stop(self, args, state, control, **kwargs):
        if "transformer" in args.output_dir and state.epoch > 1.5:
            raise KeyboardInterrupt

    with mock.patch.object(TrainingProgress, "on_step_end", stop):
        broken = fits(tmp_path, "-o", "runs")
    assert broken.status == 130 and "the same command with --resume goes on" in broken.err
    assert not (tmp_path / "runs/fusions.json").exists() and not (tmp_path / "runs/perceiver").exists()
    resumed = fits(tmp_path, "-o", "runs", "--resume")
    assert resumed.status == 0, resumed.err
    begun = re.findall(r"^fusion (\w+) \((\d) of 3\)$", resumed.err, re.M)
    assert begun == [("transformer", "2"), ("perceiver", "3")]
    assert resumed.err.count("epoch 1/2") == 1 and resumed.err.count("epoch 2/2") == 2
    for name in ("concat", "transformer", "perceiver"):
        whole = load_file(folder / "runs" / name / "model.safetensors")
        mended = load_file(tmp_path / "runs" / name / "model.safetensors")
        assert all(torch.equal(mended[key], whole[key]) for key in whole), name


def test_a_run_cut_short_in_its_last_file_is_finished_by_resume(tmp_path):
    write_houses(tmp_path)
    assert fits(tmp_path, "-o", "runs", "--fusions", "concat,sum").status == 0
    (tmp_path / "runs/sum/metrics.json").write_text('{"test"')
    resumed = fits(tmp_path, "-o", "runs", "--fusions", "concat,sum", "--resume")
    assert resumed.status == 0, resumed.err
    lines = [line for line in resumed.err.splitlines() if line.startswith("fusion ")]
    assert lines == ["fusion concat (1 of 2): done before", "fusion sum (2 of 2)"]
    json.loads((tmp_path / "runs/sum/metrics.json").read_text())


def test_overwriting_leaves_nothing_of_before(tmp_path):
    write_houses(tmp_path)
    single = polymodal(*FIT, "-o", "runs", *settings(), folder=tmp_path)
    assert single.status == 0
    refused = error(tmp_path, *FIT, "--fusions", "concat,sum", "-o", "runs", *settings())
    assert refused == "runs: holds the run of a single fit. Give another folder with -o, or --overwrite"
    assert fits(tmp_path, "-o", "runs", "--fusions", "concat,sum", "--overwrite").status == 0
    assert not (tmp_path / "runs/model.safetensors").exists()
    before = (tmp_path / "runs/sum/metrics.json").read_text()

    def stop(self, args, state, control, **kwargs):
        raise KeyboardInterrupt

    with mock.patch.object(TrainingProgress, "on_step_end", stop):
        broken = fits(tmp_path, "-o", "runs", "--fusions", "concat,sum", "--overwrite")
    assert broken.status == 130
    resumed = fits(tmp_path, "-o", "runs", "--fusions", "concat,sum", "--resume")
    assert resumed.status == 0 and "fusion sum (2 of 2)\n" in resumed.err  # the old one does not pass for new
    assert (tmp_path / "runs/sum/metrics.json").read_text() != before


def test_files_are_checked_and_decoded_once_for_all(tmp_path):
    write_houses(tmp_path)
    read = mock.patch.object(ImageReader, "read", autospec=True, side_effect=ImageReader.read)
    with read as counted:
        result = polymodal("fit", "houses.csv", "-t", "kind", "-i", "photo", "--fusions", "concat,sum,gated",
                           "-o", "runs", "--json", *settings("photo"), folder=tmp_path)  # fmt: skip
    assert result.status == 0, result.err
    photos = pd.read_csv(tmp_path / "houses.csv")["photo"].dropna()
    kept = [len(json.loads(path.read_text())["rows"]) for path in tmp_path.glob("runs/*/samples/rows.json")]
    assert len(kept) == 3 and counted.call_count <= photos.nunique() + sum(kept)


def test_an_option_goes_to_the_fusions_that_have_it(tmp_path):
    write_houses(tmp_path)
    three = ["--fusions", "sum,low_rank,perceiver", "-o", "runs", "--json"]
    result = fits(tmp_path, *three, fusion__rank=2, fusion__dropout=0.2)
    assert result.status == 0, result.err
    assert "fusion.rank goes to low_rank; the others have no such option" in result.json["warnings"]
    for name in ("sum", "low_rank", "perceiver"):
        written = yaml.safe_load((tmp_path / "runs" / name / "run.yaml").read_text())["fusion"]
        expected = {"name": name, "width": 16, "space": None, "space_projection": True, "dropout": 0.2} | (
            {"rank": 2} if name == "low_rank" else {}
        )
        assert written == expected
    assert pm.load(tmp_path / "runs/low_rank").model.model.fusion.fusion.rank == 2


@pytest.mark.parametrize(
    ("fusions", "setting", "line"),
    [
        ("concat,gatted", "", "there is no fusion named 'gatted'. Did you mean 'gated'?"),
        (" , ", "", "no fusion to fit. Name some of concat, sum, gated, tensor, low_rank, transformer, "),
        ("concat,sum", "fusion.rank=2", "none of the fusions concat, sum has an option 'rank'. There are: "),
        ("concat,sum,transformer", "fusion.heads=3",
         "the fusion 'transformer' cannot be built with {'width': 16, 'dropout': 0.1, 'heads': 3}: "
         "3 heads do not divide the width 16. Leave it out: --fusions concat,sum"),
        ("all", "fusion.limit=2", "the fusion 'tensor' cannot be built"),
        ("concat", "fusion.width=wide", "'fusion.width' is 'wide'"),
    ],
)  # fmt: skip
def test_what_cannot_be_fitted_is_said_before_anything_is(folder, fusions, setting, line):
    more = ["--set", setting] if setting else []
    assert line in error(folder, *FIT, "--fusions", fusions, "-o", "none", *settings(), *more)
    assert not (folder / "none").exists()


def test_folders_that_cannot_hold_runs_are_refused(folder):
    (folder / "file").write_text("")
    several = [*FIT, "--fusions", "concat,sum", *settings()]
    assert error(folder, *several, "-o", "file").startswith("file: is a file, expected a folder")
    assert error(folder, *several, "-o", "new", "--resume") == "new: no fit to resume. Start without --resume"


def test_all_of_them_from_python_on_two_targets(tmp_path):
    table = write_houses(tmp_path)
    result = pm.fit_fusions(table, target=["kind", "price"], inputs=["bedrooms", "district"],
                            output=tmp_path / "runs", settings=tiny(train__epochs=1))  # fmt: skip
    assert [fit.name for fit in result.fits] == list(pm.FUSIONS) and len(result.fits) == 9
    assert result.metric == "loss"
    best = min(result.fits, key=lambda fit: fit.validation)
    assert result.best == best.name
    run = result.load()
    assert run.folder == tmp_path / "runs" / best.name
    assert run.evaluate(table).keys() == {"kind", "price"}
    assert result.load("sum").declaration.fusion.name == "sum"
