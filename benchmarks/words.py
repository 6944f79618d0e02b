"""Answers in words on real input: questions about pictures, spoken digits, names and translations, a talk.

    python benchmarks/words.py vqa
    python benchmarks/words.py digits
    python benchmarks/words.py emoji
    python benchmarks/words.py talk
    python benchmarks/words.py minilm

Each fits a recipe of ``recipes/`` and prints the metrics of its test rows, beside those of the same model
without each input. Finished runs in ``--output`` are kept, as in ``real_input.py``. Tables that a recipe
wants and no set has (a digit's word, a row a translation, talks) are written to ``--output`` first, from the
sets alone.

- vqa: easy_vqa, everything from scratch.
- digits: av_digits, a recording to the word that is said; the test speaker is unseen.
- emoji: emoji_captions, a picture to its English name, and names across languages in one model.
- talk: three turns over a picture of easy_vqa and a recording of av_digits.
- minilm: easy_vqa's questions through a frozen MiniLM and a connector, in the place of words.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from real_input import DATA, ROOT, made_once, minilm

import polymodal as pm
from polymodal.evaluation.text_metrics import measure_words

DIGITS, VQA, EMOJI = DATA / "av_digits", DATA / "easy_vqa", DATA / "emoji_captions"
WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
LANGUAGES = {"de": "German", "fr": "French", "es": "Spanish", "zh": "Chinese"}
TALKS = {"train": 6000, "val": 500, "test": 1000}


def fitted(recipe: str, output: Path, seed: int) -> Any:
    """The run of a recipe."""
    folder, settings = output / recipe.removesuffix(".yaml") / f"seed{seed}", [f"train.seed={seed}"]
    made_once(folder, recipe, settings, lambda: pm.fit(
        ROOT / "recipes" / recipe, output=folder, settings=settings, quiet=False
    ))  # fmt: skip
    return pm.load(folder)


def tell(recipe: str, output: Path, seed: int) -> Path:
    """Fit, and print the figures of the run; gives its folder."""
    folder = fitted(recipe, output, seed).folder
    found = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    ((column, metrics),) = found["test"].items()
    print(f"{recipe}, {column}, {found['rows']['test']} test rows: {told(metrics)}")
    for name, figures in found["without"].items():
        print(f"  without {name}: {told(figures)}")
    train = found["train"]
    print(f"  {train['seconds']:.0f} s, {train['tokens_per_second']:.0f} tokens a second", flush=True)
    return folder


def told(metrics: dict[str, float]) -> str:
    """Metrics on one line."""
    return ", ".join(f"{name} {value:.4f}" for name, value in metrics.items())


def vqa(output: Path, seed: int) -> None:
    """Questions about pictures."""
    tell("easy_vqa_words.yaml", output, seed)


def through_minilm(output: Path, seed: int) -> None:
    """The same, the questions through a text encoder."""
    os.environ["MINILM"] = minilm()
    tell("easy_vqa_minilm_words.yaml", output, seed)


def digits(output: Path, seed: int) -> None:
    """A recording to the word that is said."""
    table = pd.read_csv(DIGITS / "digits.csv")
    table["audio"] = [str(DIGITS / path) for path in table["audio"]]
    table["word"] = [WORDS[label] for label in table["label"]]
    write(table[["audio", "word", "split"]], output / "spoken_digits.csv", "SPOKEN_DIGITS")
    tell("spoken_digits_words.yaml", output, seed)


def emoji(output: Path, seed: int) -> None:
    """A row a task: the name of a picture, and a name into and from each language, the picture at hand."""
    table = pd.read_csv(EMOJI / "emoji.csv")
    rows = []
    for entry in table.to_dict("records"):
        common = {"image": str(EMOJI / entry["image"]), "split": entry["split"]}
        rows.append(common | {"task": "picture to English", "ask": "name:", "say": entry["label_en"]})
        for code, language in LANGUAGES.items():
            there, back = f"translate to {language}: ", f"translate from {language}: "
            english, foreign = entry["label_en"], entry[f"label_{code}"]
            rows.append(common | {"task": f"English to {language}", "ask": there + english, "say": foreign})
            rows.append(common | {"task": f"{language} to English", "ask": back + foreign, "say": english})
    made = pd.DataFrame(rows).dropna()
    write(made, output / "emoji_words.csv", "EMOJI_WORDS")
    folder = tell("emoji_words.yaml", output, seed)
    said = pd.read_parquet(folder / "predictions.parquet")
    said["task"] = made["task"].to_numpy()[said["row"] - 1]
    for task, part in said.groupby("task", sort=False):
        for column in [name for name in said if name.startswith("output")]:
            given = column.removeprefix("output").replace("_", " ").strip() or "with everything"
            found = measure_words(
                part[column].tolist(), [[a] for a in part["answer"]], ["exact_match", "chrf"]
            )
            print(f"  {task}, {given} ({len(part)} rows): {told(found)}")


def talk(output: Path, seed: int) -> None:
    """Conversations of three turns over a picture and a recording."""
    write_talks(output / "talks.jsonl")
    os.environ["TALKS"] = str((output / "talks.jsonl").resolve())
    tell("talk_words.yaml", output, seed)


def write_talks(path: Path) -> None:
    """A picture with two questions about it, a recording between them; the last turn asks of both again."""
    questions, spoken = pd.read_csv(VQA / "easy_vqa.csv"), pd.read_csv(DIGITS / "digits.csv")
    random, lines = np.random.default_rng(0), []
    for split, count in TALKS.items():
        asked = questions[questions["split"] == split].groupby("image")
        sounds = spoken[spoken["split"] == split]
        pictures = [name for name, part in asked if len(part) > 1]
        for picture in random.choice(pictures, count):
            first, second = asked.get_group(picture).sample(2, random_state=random).to_dict("records")
            sound = sounds.iloc[random.integers(len(sounds))]
            word = WORDS[sound["label"]]
            lines.append({"split": split, "messages": [
                user(("image", VQA / picture), first["question"]), assistant(first["answer"]),
                user(("audio", DIGITS / sound["audio"]), "which digit is this?"), assistant(word),
                user(None, f"{second['question'].rstrip('?')}, and which digit was it?"),
                assistant(f"{second['answer']}, {word}"),
            ]})  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def user(item: tuple[str, Path] | None, text: str) -> dict[str, Any]:
    """A message with an item before its text."""
    parts = [{"type": item[0], "path": str(item[1])}] if item else []
    return {"role": "user", "content": [*parts, {"type": "text", "text": text}]}


def assistant(text: str) -> dict[str, Any]:
    """An answer."""
    return {"role": "assistant", "content": [{"type": "text", "text": text}]}


def write(table: pd.DataFrame, path: Path, variable: str) -> None:
    """Write a table that a recipe names by an environment variable."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False)
    os.environ[variable] = str(path.resolve())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the parts that are named."""
    parts = {"vqa": vqa, "digits": digits, "emoji": emoji, "talk": talk, "minilm": through_minilm}
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("part", choices=[*parts, "all"])
    parser.add_argument("--output", type=Path, default=Path("runs/real"))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    for name in parts if options.part == "all" else [options.part]:
        parts[name](options.output, options.seed)


if __name__ == "__main__":
    main()
