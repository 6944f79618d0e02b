"""The benchmark of language models runs at toy size, and refuses to compare what is not the same."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from polymodal.training.language.conversation_collator import ConversationCollator

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def script(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A script of the folder, imported as Python runs it: with its own folder on the path."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return import_module(request.param)


@pytest.mark.parametrize("script", ["language"], indirect=True)
def test_training_prints_every_way_against_the_plain_one(
    script: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    script.main(["--smoke", "--parts", "training"])
    _, _, *lines = capsys.readouterr().out.splitlines()
    speeds = {}
    for line in lines:
        if found := re.match(r"(.+?): (.+?) +(\S+) +(-?\S+)% +(\S+) +\(", line):
            group, way, speed, padded, ratio = found.groups()
            assert 0 <= float(padded) < 100 and float(speed) > 0
            speeds[group, way] = float(speed)
            assert float(ratio) == pytest.approx(speeds[group, way] / speeds[group, "plain"], abs=0.01)
    mixed = ["plain", "plain, of like length", "ours, padded", "ours, packed to 1024"]
    ways = [("one length", "plain"), ("one length", "ours, padded")]
    assert list(speeds) == [*ways, *((group, way) for group in ("mixed", "pictures") for way in mixed)]
    (padded,) = (line.rpartition(" ")[2] for line in lines if "packs of 4096 tokens" in line)
    assert 0 <= float(padded.rstrip("%")) <= 3


@pytest.mark.parametrize("script", ["language"], indirect=True)
def test_generation_prints_both_sides(script: Any, capsys: pytest.CaptureFixture[str]) -> None:
    script.main(["--smoke", "--parts", "generation"])
    lines = capsys.readouterr().out.splitlines()[2:]
    for line, name in zip(
        lines, ("generate, 3 rows +(.+) bare", "chat, 3 together +(.+) one by one"), strict=True
    ):
        found, ratio = re.match(rf"{name} +(\S+) +\(", line).groups()
        ours, other = map(float, found.split())
        assert ours > 0 and float(ratio) == pytest.approx(ours / other, abs=0.01)


@pytest.mark.parametrize("script", ["language_generation"], indirect=True)
def test_answers_that_differ_are_not_compared(script: Any) -> None:
    with pytest.raises(SystemExit, match="answer differently"):
        script.measure((lambda: [[1, 2]], lambda: [[1, 3]]), 1)


@pytest.mark.parametrize("script", ["language_training"], indirect=True)
def test_rows_that_differ_are_not_compared(script: Any) -> None:
    processor = script.make_processor()
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    model = script.make_model(script.LlamaConfig(vocab_size=320, pad_token_id=0, **sizes), processor)
    rows = script.make_rows([20, 30], 320, processor)
    plain = script.plain_rows(rows)
    script.check(model, rows, plain, 2)
    others = script.plain_rows(script.make_rows([20, 30], 320, processor, seed=1))
    with pytest.raises(SystemExit, match="read different data"):
        script.check(model, rows, others, 2)


@pytest.mark.parametrize("script", ["conversations"], indirect=True)
def test_lengths_are_drawn_log_uniformly(script: Any) -> None:
    lengths = script.draw_lengths(20_000, 16, 512, np.random.default_rng(0))
    assert (lengths.min(), lengths.max()) == (16, 512)
    below = [(lengths < bound).mean() for bound in (32, 64, 128, 256)]
    assert below == pytest.approx([0.2, 0.4, 0.6, 0.8], abs=0.01)


@pytest.mark.parametrize("script", ["conversations"], indirect=True)
def test_turns_begin_with_a_question_and_end_with_an_answer(script: Any) -> None:
    random = np.random.default_rng(0)
    for length in (16, 16, 16, 40, 512):
        turns = script.draw_turns(length, random)
        assert len(turns) == length and not turns[0] and turns[-1]
        assert np.diff(turns.astype(int)).tolist().count(1) in (1, 2, 3)


@pytest.mark.parametrize("script", ["plain_language"], indirect=True)
def test_the_plain_loop_pads_to_the_longest_and_learns_no_padding(script: Any) -> None:
    rows = [
        script.PlainRow(torch.tensor([5, 6, 7]), torch.tensor([-100, 6, 7]), None),
        script.PlainRow(torch.tensor([8]), torch.tensor([8]), None),
    ]
    batch = script.pad(rows)
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 0, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch["labels"].tolist() == [[-100, 6, 7], [8, -100, -100]]


@pytest.mark.parametrize("script", ["language_gpu"], indirect=True)
def test_model_flops_are_those_of_the_products(script: Any, tmp_path: Path) -> None:
    language = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "vocab_size": 500}
    siglip = dict(zip(script.SIGLIP, (96, 3, 2, 192), strict=True))
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 24}
    size = script.Size(script.Qwen3Config(**language, **heads, **script.COMMON), siglip, 49, (40, 60))
    model, rows = script.make(size, tmp_path, 1)
    batch = ConversationCollator(rows.processor)([rows[0]])
    row = rows.rows[0].encoded
    found = script.flops_of(model, np.array([len(row.ids)]), np.array([row.learned.sum()]), np.ones(1))
    # The pixels have no gradient, which the formula counts: twice the weights of the patches' convolution.
    patches = 2 * 196 * 3 * 16 * 16 * 96
    assert found[0] - patches == pytest.approx(
        import_module("utilization").count_flops(model, batch, 1), rel=0.02
    )


@pytest.mark.parametrize("script", ["language"], indirect=True)
def test_the_gpu_part_prints_its_lines_beside_the_published_one(
    script: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    script.main(["--gpu", "--smoke"])
    *ours, published = capsys.readouterr().out.splitlines()[2:]
    for line, name in zip(ours, ("siglip [+] qwen3", "nanoVLM"), strict=True):
        _, tokens, rows, _, _, _, waiting, padded = re.match(name + r" +(.*)", line)[1].split()
        assert float(tokens) > float(rows) > 0
        assert 0 <= float(waiting.rstrip("%")) < 100 and 0 <= float(padded.rstrip("%")) < 100
    assert re.match(r"nanoVLM's own, H100 +222\.0 +10074 +78\.7 +\d\.\d+ +\d\.\d% +–$", published)


@pytest.mark.parametrize("script", ["language"], indirect=True)
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_the_gpu_part_wants_a_gpu(script: Any) -> None:
    with pytest.raises(SystemExit, match="there is no GPU here"):
        script.main(["--gpu"])
