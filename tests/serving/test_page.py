"""The page's files: built from the committed sources, small, served with their types and a strict policy."""

import gzip
import hashlib
import json
from pathlib import Path

import pytest

from tests.test_words import words_in

PAGE = Path(__file__).resolve().parents[2] / "src" / "polymodal" / "serving" / "page"
BUILT = PAGE / "built"
MANIFEST = json.loads((BUILT / "manifest.json").read_text(encoding="utf-8"))
SOURCES = [path for path in sorted((PAGE / "src").rglob("*")) if path.is_file()]


def test_the_built_files_are_of_the_committed_sources():
    digests = {name: hashlib.sha256((PAGE / name).read_bytes()).hexdigest() for name in MANIFEST["sources"]}
    named = {path.relative_to(PAGE).as_posix() for path in SOURCES}
    assert MANIFEST["sources"] == digests, "run src/polymodal/serving/page/build.sh and commit built/"
    assert {name for name in digests if name.startswith("src/")} == named


def test_the_built_files_are_small():
    size = sum(len(gzip.compress(path.read_bytes())) for path in BUILT.iterdir())
    assert size < 40_000


def test_the_lock_names_no_registry_and_every_package_by_its_hash():
    packages = json.loads((PAGE / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    installed = {name: entry for name, entry in packages.items() if name}
    assert installed and not [name for name, entry in installed.items() if "resolved" in entry]
    assert not [name for name, entry in installed.items() if "integrity" not in entry]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_the_page_uses_the_words_of_the_field(path):
    assert words_in(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("path", "kind", "beginning"),
    [
        ("/", "text/html", "<!doctype html>"),
        ("/static/page.js", "text/javascript", ""),
        ("/static/page.css", "text/css", ":root{"),
    ],
)
def test_each_file_has_its_type_and_the_policy(served, path, kind, beginning):
    response = served.get(path)
    assert response.status_code == 200 and response.headers["Content-Type"] == f"{kind}; charset=utf-8"
    assert response.text.startswith(beginning)
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
    again = served.get(path, headers={"If-None-Match": response.headers["ETag"]})
    assert again.status_code == 304 and again.content == b""


@pytest.mark.parametrize("name", ["manifest.json", "package.json", "..%2f..%2fapp.py", "page.ts"])
def test_no_other_file_is_served(served, name):
    assert served.get(f"/static/{name}").status_code == 404


def test_the_page_itself_holds_nothing_inline():
    html = (BUILT / "index.html").read_text(encoding="utf-8")
    assert "<style" not in html and " style=" not in html and "onload" not in html
    assert html.count("<script") == 1 and 'src="/static/page.js"' in html
