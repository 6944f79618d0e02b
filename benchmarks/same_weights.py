"""Whether two checkouts train the same weights, bit by bit, which a change of structure alone must keep.

    python benchmarks/same_weights.py
    python benchmarks/same_weights.py --before ../checkout
    python benchmarks/same_weights.py --before ../checkout --recipes table words

Five recipes train for a few steps, with a fixed seed and one thread, on data and checkpoints that the script
makes. Only `polymodal`'s public functions are called, so that the script runs on checkouts whose modules have
other names. Each recipe gives five digests (the first 12 digits of a SHA-256):

- weights: names and contents of all tensors of the run's model.safetensors, by sorted name.
- predictions: the run's predictions for its test rows, with probabilities; vectors of a run without targets.
- metrics: validation and test metrics, and those without each input, as metrics.json has them.
- report: the figures of report.json (importance, robustness, subgroups …) where the recipe writes one.
- files: names of the run's files, and its declaration, model configuration and processor configuration.

With `--before` each recipe runs with this tree's source and with that of CHECKOUT, in processes of their own
and from the same folder; the exit status is 1 where a digest differs. The recipes are: table (text, image,
number, category, empty cells, two targets, the default fusion), media (audio, video, sequence, labels, the
fusion `bottleneck`, learned weights), pretrain (contrastive and masked objectives, then a fit from that run),
checkpoints (a frozen image encoder, a text encoder with LoRA) and words (a language model from a checkpoint,
two stages, packed rows).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import wave
from collections.abc import Iterator, Sequence
from pathlib import Path
from subprocess import PIPE
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import yaml
from PIL import Image

SOURCE = Path(__file__).resolve().parents[1] / "src"
ROWS = 150
WORDS = {"flat": ["bright", "balcony", "lift", "third"], "house": ["garden", "garage", "cellar", "quiet"]}
COLUMNS = ("photo", "voice", "clip", "steps", "note", "rooms", "district")
SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
TRAIN = {"epochs": 2, "batch_size": 16, "patience": 0, "threads": 1, "workers": 0, "seed": 3, "device": "cpu"}
QUIET = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"} | {
    "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"
}  # fmt: skip
TIMED = re.compile("seconds|_per_second|runtime|^made$|^versions$|^warnings$|^notes$|^pages$")
"""Keys in metrics.json and report.json that are no figures, or depend on time."""

NOTE, PHOTO = {"modality": "text"}, {"modality": "image", "size": 16}
ROOMS, DISTRICT = {"modality": "number"}, {"modality": "category"}
VOICE, CLIP = {"modality": "audio", "seconds": 0.2}, {"modality": "video", "size": 16, "frames": 4}
LANGUAGE = {"hidden_size": 16, "num_hidden_layers": 1, "intermediate_size": 24, "head_dim": 8} | {
    "num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 256
}  # fmt: skip
RECIPES: dict[str, dict[str, Any]] = {
    "table": {
        "inputs": {"photo": PHOTO, "note": NOTE, "rooms": ROOMS, "district": DISTRICT},
        "targets": {"kind": {"task": "classification"}, "price": {"task": "regression"}},
        "fusion": {"width": 16},
        "report": {"write": True, "noise_rows": 4, "by": ["district"]},
    },
    "media": {
        "inputs": {"voice": VOICE, "clip": CLIP, "steps": {"modality": "sequence"}},
        "targets": {"tags": {"task": "multilabel"}, "kind": {"task": "classification"}},
        "fusion": {"name": "bottleneck", "width": 16},
        "train": {"weighting": "uncertainty"},
    },
    "pretrain": {
        "inputs": {"photo": PHOTO, "note": NOTE, "rooms": ROOMS},
        "objectives": {"contrastive": {}, "masked_text": {}, "masked_patch": {}},
        "fusion": {"width": 16},
    },
    "from": {
        "inputs": {"photo": PHOTO, "note": NOTE, "rooms": ROOMS},
        "targets": {"kind": {"task": "classification"}},
        "fusion": {"width": 16},
    },
    "checkpoints": {
        "inputs": {
            "photo": {"modality": "image", "encoder": {"checkpoint": "saved_vit"}, "freeze": True},
            "note": {"modality": "text", "encoder": {"checkpoint": "saved_bert"}, "lora": {"rank": 2}},
        },
        "targets": {"kind": {"task": "classification"}},
        "fusion": {"name": "gated", "width": 16},
    },
    "words": {
        "inputs": {"photo": PHOTO | {"tokens": 4}},
        "generation": {
            "prompt": "{photo} {note}: flat or house?", "answer": "{kind}", "chat_template": "chatml",
            "language_model": {"checkpoint": "saved_speaker"}, "pack": 192, "max_length": 96,
        },
        "stages": {"align": {"learn": ["connectors"], "train": {"epochs": 1}},
                   "instruct": {"learn": ["connectors", "language_model", "encoders"],
                                "train": {"epochs": 4, "learning_rate": 0.02,
                                          "pretrained_learning_rate": 0.02}}},
    },
}  # fmt: skip
"""The declarations; ``from`` is the second half of the recipe ``pretrain``."""
Digests = dict[str, str]


def make_data(folder: Path) -> None:
    """Write ``rows.csv`` with its media, every seventh cell empty, and the checkpoints."""
    random, table = np.random.default_rng(0), []
    for folder_name in ("photo", "voice", "clip", "steps"):
        (folder / folder_name).mkdir(parents=True)
    for row in range(ROWS):
        kind, rooms = ("flat", "house")[row % 2], int(random.integers(1, 7))
        cells: dict[str, Any] = make_media(folder, row, kind == "house", random)
        cells["note"] = " ".join(random.permutation(WORDS[kind])[:3]) + f", {rooms} rooms"
        cells |= {"rooms": rooms, "district": ("north", "harbour", "old town")[int(random.integers(3))]}
        cells |= {name: None for place, name in enumerate(COLUMNS) if (row + 3 * place) % 7 == 0}
        tags = "|".join(tag for tag, on in (("large", rooms > 3), ("green", kind == "house")) if on)
        split = [*["train"] * 5, *["val"] * 3, *["test"] * 2][row // 2 % 10]
        price = 1000 + 250 * rooms + 300 * (kind == "house") + int(random.integers(200))
        table.append({**cells, "kind": kind, "price": price, "tags": tags, "split": split})
    pd.DataFrame(table).convert_dtypes().to_csv(folder / "rows.csv", index=False)
    make_encoders(folder)
    make_speaker(folder / "saved_speaker")


def make_media(folder: Path, row: int, bright: bool, random: np.random.Generator) -> dict[str, str]:
    """Files of one row: a square, a tone, an animation and a series; gives their paths by column."""
    paths = {"photo": f"photo/{row}.png", "voice": f"voice/{row}.wav", "clip": f"clip/{row}.gif"}
    paths |= {"steps": f"steps/{row}.npy"}
    noise = random.integers(0, 120, (6, 20, 20, 3)) + 120 * bright
    frames = [Image.fromarray(frame.astype(np.uint8)) for frame in noise]
    frames[0].save(folder / paths["photo"])
    frames[0].save(folder / paths["clip"], save_all=True, append_images=frames[1:], duration=100)
    tone = 8000 * np.sin(2 * np.pi * (1200 if bright else 400) * np.arange(800) / 4000)
    with wave.open(str(folder / paths["voice"]), "wb") as file:
        file.setparams((1, 2, 4000, len(tone), "NONE", ""))
        file.writeframes(tone.astype("<i2").tobytes())
    length = int(random.integers(4, 9))
    np.save(folder / paths["steps"], (random.normal(size=(length, 3)) + bright).astype(np.float32))
    return paths


def make_encoders(folder: Path) -> None:
    """Checkpoints of an image and a text encoder, of random weights, as a hub would hold them."""
    import torch
    import transformers as hf
    from tokenizers import Tokenizer, models, pre_tokenizers

    hf.utils.logging.disable_progress_bar()
    torch.manual_seed(0)
    hf.ViTModel(hf.ViTConfig(image_size=16, patch_size=8, **SMALL)).save_pretrained(folder / "saved_vit")
    half = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    hf.ViTImageProcessorPil(size={"height": 16, "width": 16}, **half).save_pretrained(folder / "saved_vit")
    words = ["[PAD]", "[UNK]", *WORDS["flat"], *WORDS["house"], ",", "rooms", *map(str, range(1, 7))]
    known = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, "[UNK]"))
    known.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    config = hf.BertConfig(vocab_size=len(words), max_position_embeddings=32, **SMALL)
    hf.BertModel(config).save_pretrained(folder / "saved_bert")
    tokenizer = hf.PreTrainedTokenizerFast(tokenizer_object=known, pad_token="[PAD]", unk_token="[UNK]")
    tokenizer.save_pretrained(folder / "saved_bert")


def make_speaker(folder: Path) -> None:
    """A checkpoint of a language model of random weights, whose tokens are the 256 bytes."""
    import torch
    import transformers as hf
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    marks = ["<|pad|>", "<|im_start|>", "<|im_end|>"]
    known = Tokenizer(models.BPE({token: number for number, token in enumerate([*marks, *letters])}, []))
    known.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    known.decoder = decoders.ByteLevel()
    known.add_special_tokens(marks)
    tokenizer = hf.PreTrainedTokenizerFast(tokenizer_object=known, pad_token=marks[0], eos_token=marks[2])
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = hf.Qwen3Config(vocab_size=len(tokenizer), tie_word_embeddings=True, **LANGUAGE)
    hf.Qwen3ForCausalLM(config).save_pretrained(folder)


def declared(name: str) -> Path:
    """The declaration of a recipe as a file in the working folder."""
    recipe = {"data": {"train": "rows.csv"}, "report": {"write": False}} | RECIPES[name]
    recipe["train"] = TRAIN | recipe.get("train", {}) | _neural_alone()
    path = Path(f"{name}.yaml")
    path.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    return path


def _neural_alone() -> dict[str, Any]:
    """Settings of the neural model alone, as far as this version knows them: earlier ones had no other."""
    from polymodal.config import TrainConfig

    settings: dict[str, Any] = {"candidates": ["fused"], "encoders": "scratch"}
    return {name: value for name, value in settings.items() if name in TrainConfig.model_fields}


def trained(name: str) -> Iterator[Any]:
    """The runs of a recipe, trained in the working folder."""
    import polymodal as pm

    if name == "pretrain":
        yield pm.pretrain(declared(name), output=Path("runs/pretrain"))
        yield pm.fit(declared("from"), output=Path("runs/from"), start=Path("runs/pretrain"))
    else:
        yield pm.fit(declared(name), output=Path("runs") / name)


def digests_of(run: Any) -> Digests:
    """The digests of one run, for which it is loaded again from its folder."""
    import polymodal as pm

    folder: Path = run.folder
    rows = pd.read_csv("rows.csv").query("split == 'test'").drop(columns=["kind", "price", "tags"])
    return {
        "weights": sha(list(tensors(folder / "model.safetensors"))),
        "predictions": sha(predicted(pm.load(folder), rows)),
        "metrics": sha(figures(folder / "metrics.json")),
        "report": sha(figures(folder / "report.json")),
        "files": sha(list(texts(folder))),
    }


def tensors(path: Path) -> Iterator[list[Any]]:
    """Name, type, shape and the digest of the bytes of every tensor in a safetensors file, by name."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    for name in sorted(header.keys() - {"__metadata__"}):
        entry = header[name]
        first, last = entry["data_offsets"]
        content = hashlib.sha256(data[start + first : start + last]).hexdigest()
        yield [name, entry["dtype"], entry["shape"], content]


def predicted(run: Any, rows: pd.DataFrame) -> Any:
    """What a run predicts for ``rows``, as JSON has it."""
    if "generation" in RECIPES[run.folder.name]:
        return json.loads(run.generate(rows).to_json(orient="split", double_precision=15))
    if "targets" in RECIPES[run.folder.name]:
        return run.predict(rows, probabilities=True).to_dict("split")
    return np.asarray(run.embed(rows)).tolist()


def figures(path: Path) -> Any:
    """A JSON file of the run without what :data:`TIMED` names; nothing where there is no such file."""
    return untimed(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


def untimed(value: Any) -> Any:
    """``value`` without the entries, at any depth, that :data:`TIMED` names."""
    if isinstance(value, dict):
        return {key: untimed(entry) for key, entry in value.items() if not TIMED.search(key)}
    return [untimed(entry) for entry in value] if isinstance(value, list) else value


def texts(folder: Path) -> Iterator[list[str]]:
    """Names of a run's files, and the contents of those that describe it."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        shown = path.name in ("run.yaml", "config.json", "processor_config.json")
        yield [str(path.relative_to(folder)), path.read_text(encoding="utf-8") if shown else ""]


def sha(value: Any) -> str:
    """The first digits of the SHA-256 of a value as JSON, whose floats are written in full; - of nothing."""
    if not value:
        return "-"
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:12]


def work(names: Sequence[str], source: Path) -> None:
    """Train in the working folder and print one line of JSON per recipe; :func:`side` reads them.

    Raises:
        SystemExit: If another package than that in ``source`` is imported.
    """
    import polymodal

    imported = Path(polymodal.__file__).resolve().parents[1]
    if imported != source:
        raise SystemExit(f"imported {imported} in place of {source}")
    for name in names:
        began = time.perf_counter()
        for run in trained(name):
            entry = {"recipe": run.folder.name, "digests": digests_of(run)}
            print(json.dumps(entry | {"seconds": time.perf_counter() - began}), flush=True)
            began = time.perf_counter()


def side(title: str, source: Path, folder: Path, names: Sequence[str]) -> dict[str, Digests]:
    """The digests of the recipes with the package in ``source``, printed as they come.

    Raises:
        SystemExit: If a recipe fails.
    """
    command = [sys.executable, str(Path(__file__).resolve()), "--worker", str(source), "--recipes", *names]
    own = {**os.environ, **QUIET, "PYTHONPATH": str(source), "POLYMODAL_CACHE": str(folder / "cache")}
    found: dict[str, Digests] = {}
    with (
        (folder / "errors.txt").open("w+") as errors,
        subprocess.Popen(command, cwd=folder, env=own, stdout=PIPE, stderr=errors, text=True) as process,
    ):
        for line in process.stdout or ():
            entry = json.loads(line)
            found[entry["recipe"]] = entry["digests"]
            show(title, entry)
        if process.wait():
            errors.seek(0)
            raise SystemExit(f"{title}: failed\n{errors.read()}")
    for rest in ("runs", "cache"):  # both sides train from one state of the folder
        shutil.rmtree(folder / rest, ignore_errors=True)
    return found


def show(title: str, entry: dict[str, Any]) -> None:
    """Print the digests of one recipe."""
    digests = "".join(f"{digest:>14}" for digest in entry["digests"].values())
    print(f"{title:8}{entry['recipe']:13}{digests}{entry['seconds']:8.1f} s", flush=True)


def compare(after: dict[str, Digests], before: dict[str, Digests]) -> bool:
    """Print ``same`` or ``DIFFERENT`` for each recipe and digest; gives whether all are the same."""
    for name, digests in after.items():
        equal = {
            key: "same" if before[name][key] == digest else "DIFFERENT" for key, digest in digests.items()
        }
        print(f"{'':8}{name:13}" + "".join(f"{word:>14}" for word in equal.values()))
    return after == before


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, print, compare."""
    names = [name for name in RECIPES if name != "from"]
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--before", type=Path, metavar="CHECKOUT", help="folder of another checkout")
    parser.add_argument(
        "--recipes", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names)
    )
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.worker:
        return work(options.recipes, options.worker)
    if options.before and not (options.before / "src/polymodal").is_dir():
        parser.error(f"{options.before} holds no src/polymodal")
    heads = ("weights", "predictions", "metrics", "report", "files")
    with TemporaryDirectory() as name:
        folder = Path(name).resolve()
        make_data(folder)
        print(f"{'':21}" + "".join(f"{head:>14}" for head in heads))
        after = side("this", SOURCE, folder, options.recipes)
        if options.before:
            before = side("before", options.before.resolve() / "src", folder, options.recipes)
            if not compare(after, before):
                raise SystemExit(1)


if __name__ == "__main__":
    main()
