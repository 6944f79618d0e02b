"""Training on small real tables: seeds, resuming, learning rates, the best epoch, arguments passed on."""

import json
from unittest import mock

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

import polymodal as pm
from polymodal.config import TrainConfig
from polymodal.data.text_tokenizer import train_tokenizer
from polymodal.training.loop.arguments import steps_an_epoch, training_arguments
from polymodal.training.loop.defaults import fill_in, metric_name
from polymodal.training.loop.model_selection import selection
from polymodal.training.loop.trainer import PolymodalTrainer
from polymodal.training.loop.training_progress import TrainingProgress
from tests.support.tables import house_rows, tiny, write_houses, write_table


@pytest.fixture(scope="module")
def houses(tmp_path_factory):
    return write_houses(tmp_path_factory.mktemp("houses"))


def fit(table, folder, *, target="kind", inputs=("photo", "note", "bedrooms"), **more):
    """A fit of a second or less; ``more`` are options of ``pm.fit``, or settings with ``__`` for the dots."""
    options = {name: more.pop(name) for name in ("resume", "overwrite", "quiet") if name in more}
    settings = tiny(*inputs, **({"train__epochs": 2} | more))
    return pm.fit(table, target=target, inputs=inputs, output=folder, settings=settings, **options)


def weights(run):
    return run.model.state_dict()


def assert_same(a, b):
    assert a.keys() == b.keys()
    different = [name for name in a if not torch.equal(a[name], b[name])]
    assert not different


def history(run):
    entries = json.loads((run.folder / "metrics.json").read_text())["history"]
    return [entry for entry in entries if "eval_selection" in entry]


def test_the_same_seed_gives_the_same_weights(houses, tmp_path):
    first, second = fit(houses, tmp_path / "a"), fit(houses, tmp_path / "b")
    other = fit(houses, tmp_path / "c", train__seed=1)
    assert_same(weights(first), weights(second))
    assert not torch.equal(weights(first)["heads.0.out.weight"], weights(other)["heads.0.out.weight"])


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_resuming_gives_the_weights_of_an_unbroken_run(houses, tmp_path, workers):
    inputs = ("photo", "voice", "note", "bedrooms", "district")
    settings = {"train__epochs": 4, "train__workers": workers, "inputs": inputs}
    unbroken = fit(houses, tmp_path / "unbroken", **settings)
    steps = []

    def pull_the_plug(self, args, state, control, **kwargs):
        steps.append(state.global_step)
        if state.global_step == 5:  # two steps an epoch: after the second checkpoint, amid the third epoch
            raise KeyboardInterrupt

    with mock.patch.object(TrainingProgress, "on_step_end", pull_the_plug), pytest.raises(KeyboardInterrupt):
        fit(houses, tmp_path / "broken", quiet=False, **settings)
    assert sorted(p.name for p in (tmp_path / "broken/checkpoints").iterdir() if p.is_dir()) == [
        "checkpoint-2",
        "checkpoint-4",
    ]
    resumed = fit(houses, tmp_path / "broken", resume=True, **settings)
    assert_same(weights(resumed), weights(unbroken))
    assert history(resumed)[-1]["eval_selection"] == history(unbroken)[-1]["eval_selection"]


def test_a_checkpoint_half_written_is_passed_over(houses, tmp_path):
    unbroken = fit(houses, tmp_path / "unbroken", train__epochs=3)

    def stop(self, args, state, control, **kwargs):
        if state.global_step == 5:
            raise KeyboardInterrupt

    with mock.patch.object(TrainingProgress, "on_step_end", stop), pytest.raises(KeyboardInterrupt):
        fit(houses, tmp_path / "broken", quiet=False, train__epochs=3)
    half = tmp_path / "broken/checkpoints/checkpoint-6"
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"half a model")
    assert_same(weights(fit(houses, tmp_path / "broken", resume=True, train__epochs=3)), weights(unbroken))


def test_overwriting_forgets_what_lay_there(houses, tmp_path):
    stale = tmp_path / "run/checkpoints/checkpoint-99"
    stale.mkdir(parents=True)
    (stale / "trainer_state.json").write_text("{}")
    (tmp_path / "run/reader_9").mkdir()
    (tmp_path / "run/notes.txt").write_text("the user's own")
    fit(houses, tmp_path / "run", inputs=("bedrooms",), overwrite=True)
    assert sorted(path.name for path in (tmp_path / "run").iterdir() if path.is_dir()) == ["samples"]
    assert (tmp_path / "run/notes.txt").exists()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A pretrained text encoder and its tokenizer, as a folder."""
    folder = tmp_path_factory.mktemp("checkpoint")
    tokenizer = train_tokenizer(["bright balcony lift garden garage cellar quiet street"])
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    BertModel(BertConfig(vocab_size=len(tokenizer), max_position_embeddings=64, **sizes)).save_pretrained(
        folder
    )
    tokenizer.save_pretrained(folder)
    return folder


def test_pretrained_and_new_parts_have_their_own_learning_rates(houses, tmp_path, checkpoint):
    seen = {}
    groups = PolymodalTrainer.parameter_groups

    def spy(self):
        seen["names"] = {id(parameter): name for name, parameter in self.model.named_parameters()}
        seen["groups"] = [dict(group) for group in groups(self)]
        return groups(self)

    with mock.patch.object(PolymodalTrainer, "parameter_groups", spy):
        fit(houses, tmp_path / "run", inputs=("note", "bedrooms"), inputs__note__encoder=checkpoint,
            train__learning_rate=0.01, train__pretrained_learning_rate=0.0001,
            train__weight_decay=0.5)  # fmt: skip
    rates, decays = {}, {}
    for group in seen["groups"]:
        for parameter in group["params"]:
            name = seen["names"][id(parameter)]
            rates[name], decays[name] = group["lr"], group["weight_decay"]
    assert rates and all((rate == 0.0001) == (".backbone." in name) for name, rate in rates.items())
    for name, decay in decays.items():
        if name.endswith("bias") or "norm" in name.lower():
            assert decay == 0, name
    assert (
        decays["heads.0.out.weight"]
        == decays["model.encoders.0.backbone.encoder.layer.0.output.dense.weight"]
        == 0.5
    )


def test_a_frozen_encoder_stays_as_it_is(houses, tmp_path, checkpoint):
    run = fit(houses, tmp_path / "run", inputs=("note", "bedrooms"), inputs__note__encoder=checkpoint,
              inputs__note__freeze=True)  # fmt: skip
    before, after = (
        BertModel.from_pretrained(checkpoint).state_dict(),
        run.model.model.encoders[0].backbone.state_dict(),
    )
    for name, value in after.items():
        assert torch.equal(value, before[name]), name
    tuned = fit(houses, tmp_path / "tuned", inputs=("note", "bedrooms"), inputs__note__encoder=checkpoint)
    assert not torch.equal(
        tuned.model.model.encoders[0].backbone.state_dict()["embeddings.word_embeddings.weight"],
        before["embeddings.word_embeddings.weight"],
    )


def test_balanced_class_weights_lift_the_rare_class(tmp_path):
    rows = [
        row for number, row in enumerate(house_rows(tmp_path, 60)) if row["kind"] == "flat" or number % 6 == 1
    ]
    table = write_table(tmp_path / "rare.csv", rows)
    run = fit(table, tmp_path / "run", inputs=("bedrooms",), targets__kind__class_weights="balanced")
    flat, house = run.model.head("kind").class_weights.tolist()
    train = json.loads((tmp_path / "run/metrics.json").read_text())["rows"]["train"]
    assert house > 1 > flat
    assert 1 / flat + 1 / house == pytest.approx(2)
    assert train / (2 * house) == pytest.approx(round(train / (2 * house)))  # a number of rows


def test_the_epoch_that_is_kept_is_the_best_by_the_metric_asked_for(houses, tmp_path):
    for metric, name in (("macro_f1", "eval_kind.macro_f1"), ("log_loss", "eval_kind.log_loss")):
        run = fit(houses, tmp_path / metric, train__epochs=6, train__metric=metric, train__learning_rate=0.02)
        scores = [entry[name] for entry in history(run)]
        best = max(scores) if metric == "macro_f1" else min(scores)
        kept = json.loads((run.folder / "metrics.json").read_text())["validation"]
        assert kept[name.removeprefix("eval_")] == best
        assert len(set(scores)) > 1


def test_the_weights_kept_are_those_of_the_best_epoch(tmp_path):
    rows = house_rows(tmp_path)
    train, validation = write_table(tmp_path / "a.csv", rows[:30]), write_table(tmp_path / "b.csv", rows[30:])
    run = pm.fit(train, target="kind", inputs=["note", "photo"], output=tmp_path / "run",
                 settings=[*tiny("photo", train__epochs=8, train__metric="log_loss",
                                 train__learning_rate=0.03),
                           "data.validation=" + str(validation), "data.test=0"])  # fmt: skip
    again = pm.load(tmp_path / "run").evaluate(validation)["kind"]["log_loss"]
    assert again == pytest.approx(min(entry["eval_kind.log_loss"] for entry in history(run)), rel=1e-5)


def test_no_epoch_is_kept_before_it_may_be(houses, tmp_path):
    settings = {"train__epochs": 4, "train__keep_from": 0.6}
    run = fit(houses, tmp_path / "late", **settings)
    assert [entry["epoch"] for entry in history(run)] == [3, 4]

    def pull_the_plug(self, args, state, control, **kwargs):
        if state.global_step == 5:  # two steps an epoch: before anything was evaluated
            raise KeyboardInterrupt

    with mock.patch.object(TrainingProgress, "on_step_end", pull_the_plug), pytest.raises(KeyboardInterrupt):
        fit(houses, tmp_path / "broken", quiet=False, **settings)
    assert_same(weights(fit(houses, tmp_path / "broken", resume=True, **settings)), weights(run))
    only = fit(houses, tmp_path / "last", train__epochs=2, train__keep_from=0.99)
    assert [entry["epoch"] for entry in history(only)] == [2]


def test_patience_counts_epochs_without_a_better_score(houses, tmp_path):
    one = {"inputs": ("bedrooms",), "train__epochs": 12, "train__learning_rate": 1e-9}
    assert len(history(fit(houses, tmp_path / "stops", train__patience=2, **one))) < 12
    assert len(history(fit(houses, tmp_path / "never", train__patience=0, **one))) == 12


def test_a_perfect_score_on_few_rows_is_not_the_end(houses, tmp_path):
    run = fit(houses, tmp_path / "run", train__epochs=30, train__patience=3, train__learning_rate=0.01)
    scores = [entry["eval_kind.accuracy"] for entry in history(run)]
    first = scores.index(1.0)
    assert len(scores) > first + 1 + 3, "stopped at the first perfect score, although the loss still fell"


def test_selection_is_the_metric_and_the_loss_only_where_it_ties():
    better, worse = {"kind.accuracy": 0.9}, {"kind.accuracy": 0.8999}
    assert selection(better, "accuracy", 50.0) > selection(worse, "accuracy", 0.0)
    assert selection(better, "accuracy", 0.1) > selection(better, "accuracy", 0.2)
    assert selection({"price.mae": 1e6}, "mae", 1.0) > selection({"price.mae": 1.001e6}, "mae", 0.0)
    assert selection({"a.accuracy": 1.0, "b.accuracy": 0.5}, "a.accuracy", 0.0) == 1.0
    assert selection({"a.accuracy": 1.0, "b.accuracy": 0.5}, "accuracy", 0.0) == 0.75
    with pytest.raises(pm.ConfigError, match="'auroc' is not defined on these validation rows"):
        selection(better, "auroc", 0.0)


def test_the_metric_is_the_task_s_own_and_the_loss_for_several_targets():
    assert metric_name(None, {"kind": "classification"}) == "accuracy"
    assert metric_name(None, {"price": "regression"}) == "rmse"
    assert metric_name(None, {"kind": "classification", "price": "regression"}) == "loss"
    assert metric_name("price.mae", {"kind": "classification", "price": "regression"}) == "price.mae"
    with pytest.raises(pm.ConfigError, match="no target 'prise'\\. Did you mean 'price'"):
        metric_name("prise.mae", {"price": "regression"})


@pytest.mark.slow
def test_a_number_of_millions_is_learnt_in_its_own_unit(tmp_path):
    table = write_houses(tmp_path, rows=80, empty=0)
    run = fit(table, tmp_path / "run", target="price", inputs=("bedrooms", "district"), train__epochs=60,
              train__learning_rate=0.01)  # fmt: skip
    head = run.model.head("price")
    assert 1e6 < head.mean < 3e6 and head.deviation > 1e5
    assert run.evaluate(table)["price"]["r2"] > 0.8


def test_an_amount_learnt_as_a_logarithm_is_answered_as_an_amount(tmp_path):
    rows = [row | {"price": 10 ** (1 + row["bedrooms"])} for row in house_rows(tmp_path, 60, empty=0)]
    table = write_table(tmp_path / "t.csv", rows)
    run = fit(table, tmp_path / "run", target="price", inputs=("bedrooms",), train__epochs=80,
              train__learning_rate=0.02, targets__price__task="regression",
              targets__price__transform="log")  # fmt: skip
    answers = run.predict([{"bedrooms": 1}, {"bedrooms": 6}])["price"]
    assert np.log10(answers.to_numpy()) == pytest.approx([2, 7], abs=0.5)


def test_any_field_of_training_arguments_is_passed_through(houses, tmp_path):
    run = fit(houses, tmp_path / "run", inputs=("bedrooms",), train__max_steps=3,
              train__lr_scheduler_type="constant", train__gradient_accumulation_steps=2,
              train__report_to="none", train__warmup=0)  # fmt: skip
    entries = json.loads((run.folder / "metrics.json").read_text())["history"]
    assert max(entry["step"] for entry in entries) == 3
    assert {entry["learning_rate"] for entry in entries if "learning_rate" in entry} == {0.001}
    assert run.declaration.train.arguments["max_steps"] == 3


@pytest.mark.parametrize("given", [{"train__gradient_accumulation_steps": 64}, {"train__max_steps": 1}])
def test_every_run_is_evaluated_at_least_once(houses, tmp_path, given):
    run = fit(houses, tmp_path / "run", inputs=("bedrooms",), **given)
    assert history(run)


def test_half_precision_trains_on_a_cpu_too(houses, tmp_path):
    run = fit(houses, tmp_path / "run", train__precision="bf16")
    assert next(run.model.parameters()).dtype == torch.float32
    assert np.isfinite(history(run)[-1]["eval_loss_total"])


def test_a_precision_that_a_cpu_does_not_train_in_is_refused(tmp_path):
    """Accelerate would compute in 32 bits, and not say so."""
    config = TrainConfig(epochs=1, batch_size=8, precision="fp16", device="cpu")
    with pytest.raises(pm.ConfigError, match="a CPU does not train in"):
        training_arguments(config, tmp_path, 40)


def test_short_names_set_the_fields_they_say(tmp_path):
    config = TrainConfig(
        epochs=3, batch_size=8, learning_rate=1e-3, weight_decay=0.1, warmup=0.5, seed=7, workers=2
    )
    arguments = training_arguments(config, tmp_path, 40)
    assert arguments.num_train_epochs == 3 and arguments.per_device_train_batch_size == 8
    assert arguments.weight_decay == 0.1 and arguments.seed == 7 and arguments.dataloader_num_workers == 2
    assert arguments.warmup_steps == 8  # half of 3 × 5 steps
    assert arguments.eval_steps == arguments.save_steps == 5
    assert steps_an_epoch(40, 8, {"gradient_accumulation_steps": 2}) == 3


def test_small_tables_get_more_epochs_of_smaller_batches():
    small, large = TrainConfig(), TrainConfig()
    fill_in(small, 40)
    fill_in(large, 1_000_000)
    assert small.epochs > large.epochs >= 5 and small.batch_size <= large.batch_size
    assert 0 < small.patience < small.epochs


def test_what_is_given_is_not_filled_in():
    config = TrainConfig(epochs=2, batch_size=3, patience=0)
    fill_in(config, 1000)
    assert (config.epochs, config.batch_size, config.patience) == (2, 3, 0)
