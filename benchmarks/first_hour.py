"""The first hour: lines to type for ten tasks, beside two peers; seconds until a command prints a line.

    python benchmarks/first_hour.py                # both
    python benchmarks/first_hour.py --lines        # the lines alone: nothing runs

Ours are commands of the documentation, which its tests run. The peers' are the shortest form that their own
documentation gives, imports counted, and reading of files where it is needed; the link is where it stands.
None: their documentation has no such task. The seconds are those of whole processes, on the tables of
`polymodal demo --data houses`, in a temporary folder: by the clock, and of the CPU, which other work on the
machine changes little.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from startup import command_line

AUTOGLUON = "https://auto.gluon.ai/stable"
SBERT = "https://sbert.net"
QUICK = f"{AUTOGLUON}/tutorials/multimodal/multimodal_prediction/multimodal-quick-start.html"
MATCHING = f"{AUTOGLUON}/tutorials/multimodal/semantic_matching/zero_shot_img_txt_matching.html"
TABULAR = f"{AUTOGLUON}/api/autogluon.tabular.TabularPredictor.fit.html"
PREDICTOR = "from autogluon.multimodal import MultiModalPredictor\n"
LOADED = f"import pandas as pd\n{PREDICTOR}predictor = MultiModalPredictor.load('runs/houses')\n"


@dataclass(frozen=True)
class Form:
    """How a peer's documentation does a task.

    Attributes:
        code: Lines of Python.
        link: The page.
    """

    code: str
    link: str


@dataclass(frozen=True)
class Task:
    """A task of the first hour.

    Attributes:
        name: In a few words.
        ours: What is typed here: commands or Python.
        autogluon: The same there; None where its documentation has no such task.
        sbert: The same in sentence-transformers.
    """

    name: str
    ours: str
    autogluon: Form | None = None
    sbert: Form | None = None


TASKS = (
    Task(
        "fit and test a CSV",
        "polymodal fit houses.csv --target price -o runs/houses",
        Form(
            f"{PREDICTOR}predictor = MultiModalPredictor(label='price').fit('houses.csv')\n"
            "predictor.evaluate('more_houses.csv')",
            QUICK,
        ),
    ),
    Task(
        "fit a DataFrame",
        "import polymodal as pm\nrun = pm.fit(frame, target='price')",
        Form(f"{PREDICTOR}predictor = MultiModalPredictor(label='price').fit(frame)", QUICK),
    ),
    Task(
        "a pretrained text encoder",
        "polymodal fit houses.csv --target price --inputs note --set train.encoders=auto",
        Form(
            f"{PREDICTOR}predictor = MultiModalPredictor(label='price').fit(frame[['note', 'price']])",
            f"{AUTOGLUON}/tutorials/multimodal/text_prediction/beginner_text.html",
        ),
        Form(
            "from sentence_transformers import SentenceTransformer\n"
            "from sklearn.linear_model import Ridge\n"
            "vectors = SentenceTransformer('all-MiniLM-L6-v2').encode(texts)\n"
            "model = Ridge().fit(vectors, prices)",
            f"{SBERT}/docs/sentence_transformer/usage/usage.html",
        ),
    ),
    Task(
        "rows without a photo",
        "polymodal predict runs/houses new_houses.csv",
        Form(f"{LOADED}predictor.predict(pd.read_csv('new_houses.csv'))", QUICK),
    ),
    Task(
        "predictions as a CSV",
        "polymodal predict runs/houses new_houses.csv --keep note -o answers.csv",
        Form(
            f"{LOADED}rows = pd.read_csv('new_houses.csv')\n"
            "rows.assign(price=predictor.predict(rows)).to_csv('answers.csv')",
            QUICK,
        ),
    ),
    Task(
        "scores of subgroups",
        "polymodal report runs/houses --by district",
        Form(
            f"{LOADED}for name, part in pd.read_csv('more_houses.csv').groupby('district'):\n"
            "    print(name, predictor.evaluate(part))",
            QUICK,
        ),
    ),
    Task(
        "few labels after pre-training on one's own rows",
        "polymodal pretrain houses.csv --inputs photo,note,bedrooms -o runs/pre\n"
        "polymodal fit houses.csv --target kind --from runs/pre --labels 10 -o runs/few",
    ),
    Task(
        "search by picture",
        "polymodal pretrain houses.csv --inputs photo,note,bedrooms -o runs/pre\n"
        "polymodal index runs/pre houses.csv -o runs/index\n"
        "polymodal search runs/index --image photos/0.png",
        Form(
            f"{PREDICTOR}from autogluon.multimodal.utils import semantic_search\n"
            "predictor = MultiModalPredictor(problem_type='image_text_similarity')\n"
            "photos = predictor.extract_embedding(paths, as_tensor=True)\n"
            "semantic_search(matcher=predictor, query_embeddings=photos[:1], "
            "response_embeddings=photos, top_k=5)",
            MATCHING,
        ),
        Form(
            "from PIL import Image\n"
            "from sentence_transformers import SentenceTransformer, util\n"
            "model = SentenceTransformer('clip-ViT-B-32')\n"
            "photos = model.encode([Image.open(path) for path in paths])\n"
            "util.semantic_search(model.encode(Image.open('photos/0.png')), photos, top_k=5)",
            f"{SBERT}/examples/applications/image-search/",
        ),
    ),
    Task(
        "answers in words",
        "polymodal fit houses.csv --task generation --prompt '{photo} {note}: which?' --answer '{kind}'",
    ),
    Task(
        "five folds",
        "polymodal fit houses.csv --target price --folds 5",
        Form(
            "from autogluon.tabular import TabularPredictor\n"
            "predictor = TabularPredictor(label='price').fit('houses.csv', num_bag_folds=5)",
            TABULAR,
        ),
    ),
)

RUN, OTHER = "runs/houses", "runs/other"
COMMANDS: tuple[Sequence[str], ...] = (
    ("--help",),
    ("demo", "--data", "houses"),
    ("check", "houses.csv", "--target", "price"),
    ("init", "houses.csv", "--target", "price"),
    ("fit", "houses.csv", "--target", "price", "--preset", "fast", "-o", RUN),
    ("runs",),
    ("evaluate", RUN, "more_houses.csv"),
    ("predict", RUN, "new_houses.csv"),
    ("explain", RUN, "new_houses.csv", "--rows", "3"),
    ("report", RUN, "more_houses.csv", "--noise-rows", "0", "-o", "runs/report"),
    ("fit", "houses.csv", "--target", "price", "--inputs", "note", "--preset", "fast", "-o", OTHER),
    ("compare", RUN, OTHER, "-o", "runs/compared"),
    ("encoders",),
    ("cache",),
)
"""In an order in which each finds what it needs."""
ROAD = ("demo", "fit", "predict")
"""From an installed package to a first prediction; one's own table needs no `demo`."""


def lines_of(code: str) -> int:
    """Lines that are not empty."""
    return sum(bool(line.strip()) for line in code.splitlines())


def show_lines() -> None:
    """A line per task: the lines of each tool, and the peers' links."""
    print(f"{'lines to type':48} ours  AutoGluon  sentence-transformers")
    for task in TASKS:
        peers = [str(lines_of(form.code)) if form else "–" for form in (task.autogluon, task.sbert)]
        print(f"{task.name:48} {lines_of(task.ours):4}  {peers[0]:>9}  {peers[1]:>21}")
    print("Their forms:")
    for link in dict.fromkeys(form.link for task in TASKS for form in (task.autogluon, task.sbert) if form):
        print(f"  {link}")


@dataclass(frozen=True)
class Seconds:
    """How long a command took.

    Attributes:
        first: Until its first line.
        end: Until its end.
        cpu: Of the CPU, its own processes counted.
    """

    first: float
    end: float
    cpu: float


def cpu_of_children() -> float:
    """Seconds of the CPU of all processes that have ended so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measured(command: Sequence[str], folder: Path) -> Seconds:
    """How long a command takes.

    Raises:
        SystemExit: If it failed.
    """
    began, cpu = time.perf_counter(), cpu_of_children()
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        shown = process.stdout.readline()
        first = time.perf_counter() - began
        shown += process.stdout.read()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{shown}")
    return Seconds(first, time.perf_counter() - began, cpu_of_children() - cpu)


def show_seconds() -> None:
    """A line per command: seconds to its first line, and to its end; then the road to a first prediction."""
    print(f"{'seconds':48} first line     end     CPU")
    road: dict[str, Seconds] = {}
    with TemporaryDirectory() as folder:
        for command in COMMANDS:
            taken = measured([*command_line(), *command], Path(folder))
            if command[0] in ROAD:
                road.setdefault(command[0], taken)
            name = " ".join(command)[:48]
            print(f"{name:48} {taken.first:10.1f} {taken.end:7.1f} {taken.cpu:7.1f}", flush=True)
    clock, cpu = sum(each.end for each in road.values()), sum(each.cpu for each in road.values())
    print(
        f"To a first prediction, once installed: {' · '.join(road)}, {clock:.0f} s ({cpu:.0f} s of the CPU)."
    )
    print("Before: git clone, pip install . (two commands; their time is that of the network).")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print lines, and seconds unless they are not wanted."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lines", action="store_true", help="the lines alone")
    given = parser.parse_args(arguments)
    show_lines()
    if not given.lines:
        show_seconds()


if __name__ == "__main__":
    main()
