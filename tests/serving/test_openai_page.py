"""The page on OpenAI's form runs as it is written, against a live server."""

import numpy as np
import pytest

import polymodal as pm
from polymodal.serving.app import create_app
from polymodal.serving.service import Service
from tests.support.documentation import DOCS, blocks
from tests.support.live_servers import live
from tests.support.tables import write_picture
from tests.support.talking_runs import make_talking_run
from tests.support.untrained_runs import make_run

ADDRESS = "http://127.0.0.1:8000"


@pytest.fixture
def address(tmp_path, monkeypatch):
    write_picture(tmp_path / "photos/0.png", 0.5, np.random.default_rng(0))
    monkeypatch.chdir(tmp_path)
    rows = [{"photo": "photos/0.png", "note": "a quiet street", "bedrooms": number} for number in (1, 2, 3)]
    runs = {"words": make_talking_run(tmp_path / "words"), "houses": make_run(tmp_path / "houses", rows)}
    pm.Index.build(tmp_path / "index", runs["houses"], rows)
    with live(create_app(Service(runs, index=tmp_path / "index", decoders=1))) as address:
        yield address


def test_the_page_runs_from_top_to_bottom(address, capsys):
    code = [text for language, text in blocks(DOCS / "how-to/openai.md") if language == "py"]
    names = {}
    for text in code:
        assert ADDRESS in text or names
        exec(text.replace(ADDRESS, address), names)
    assert capsys.readouterr().out.count("\n") >= 5
    assert names["page"].startswith("<!") and names["answer"].usage.prompt_tokens > 0
