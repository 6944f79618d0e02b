"""Towers of a run as a ``SentenceTransformer``: the run's own vectors, by that library's own ways."""

import pickle
import re

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import BertConfig, BertModel

import polymodal as pm
from polymodal.data.text_tokenizer import train_tokenizer
from tests.support.command import polymodal
from tests.support.tables import house_rows, tiny, write_table

library = pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
TEXTS = ["bright, balcony", "a garden", "third floor, a lift and many more words than the others have"]


@pytest.fixture(scope="module")
def houses(tmp_path_factory):
    """A folder with a table, and ``run``, pre-trained on it: few tokens an item, so that they are pooled."""
    folder = tmp_path_factory.mktemp("towers")
    write_table(folder / "houses.csv", house_rows(folder, 40, empty=0.0))
    given = ["inputs.note.tokens=3", "inputs.photo.tokens=4", "fusion.space=12"]
    pm.pretrain(
        folder / "houses.csv", inputs=["photo", "voice", "note", "bedrooms"], objectives=["contrastive"],
        output=folder / "run", settings=[*tiny("photo", "voice"), *given],
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def run(houses):
    return pm.load(houses / "run")


@pytest.fixture(scope="module")
def pair(houses):
    """The towers of text and picture, exported and loaded."""
    result = polymodal(
        "export", "run", "--to", "sentence-transformers", "-o", "pair", "--json", folder=houses
    )
    assert result.status == 0, result.err
    assert result.json == {
        "output": "pair", "to": "sentence-transformers", "inputs": {"image": "photo", "text": "note"},
        "left_out": ["voice", "bedrooms"],
    }  # fmt: skip
    return loaded(houses / "pair")


def loaded(folder):
    return library.SentenceTransformer(str(folder), trust_remote_code=True, device="cpu")


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_texts_and_pictures_have_the_runs_vectors(houses, run, pair):
    texts = run.embed([{"note": text} for text in TEXTS], input="note")
    paths = [str(houses / f"photos/{number}.png") for number in range(5)]
    photos = run.embed([{"photo": path} for path in paths], input="photo")
    assert texts.shape == (3, 12) and pair.get_embedding_dimension() == 12
    close(pair.encode(TEXTS), texts)
    close(pair.encode(TEXTS, batch_size=1), texts)
    close(pair.encode(paths, batch_size=2), photos)
    pictures = [Image.open(path) for path in paths]
    close(pair.encode(pictures), photos)
    close(pair.encode([np.asarray(pictures[0]), torch.from_numpy(np.array(pictures[1]))]), photos[:2])
    close(pair.encode(TEXTS[0]), texts[0])
    close(np.linalg.norm(pair.encode(TEXTS), axis=1), 1)


def test_a_list_may_mix_them(houses, run, pair):
    path = str(houses / "photos/1.png")
    photo = run.embed([{"photo": path}], input="photo")[0]
    texts = run.embed([{"note": text} for text in TEXTS], input="note")
    chat = {"role": "user", "content": [{"type": "image", "image": Image.open(path)}]}
    mixed = [TEXTS[2], path, {"image": path}, TEXTS[0], [chat], {"text": TEXTS[1]}]
    found = pair.encode(mixed)
    close(found, np.stack([texts[2], photo, photo, texts[0], photo, texts[1]]))
    close(pair.similarity(found, found), found @ found.T)
    several = run.embed([{"note": [TEXTS[0], TEXTS[1]]}], input="note")
    close(pair.encode([{"text": [TEXTS[0], TEXTS[1]]}, TEXTS[2]]), np.stack([several[0], texts[2]]))
    close(pair.encode([{"text": [TEXTS[0], TEXTS[1]]}]), several)


def test_its_own_modules_do_what_they_can_and_it_saves_and_loads_again(tmp_path, pair, monkeypatch):
    names = [type(module).__name__ for module in pair]
    assert names == ["Towers", "Pooling", "Normalize"]
    pair.save_pretrained(str(tmp_path / "again"))
    again = loaded(tmp_path / "again")
    assert np.array_equal(again.encode(TEXTS), pair.encode(TEXTS))
    card = (tmp_path / "again/README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", card, re.S)
    Image.new("RGB", (20, 20)).save(tmp_path / "a.png")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(code.replace("this folder", str(tmp_path / "again")), names)
    assert names["vectors"].shape == (2, 12)
    assert np.array_equal(pickle.loads(pickle.dumps(pair)).encode(TEXTS), pair.encode(TEXTS))
    assert pair.similarity_fn_name == "cosine"
    assert {path.suffix for path in (tmp_path / "again").rglob("*.*")} == {".json", ".safetensors", ".md"}


def test_it_asks_for_trust_and_for_polymodal(houses, pair, monkeypatch):
    with pytest.raises(ValueError, match="trust_remote_code=True"):
        library.SentenceTransformer(str(houses / "pair"))
    with pytest.raises(ValueError, match="not in 'onnx'"):
        library.SentenceTransformer(str(houses / "pair"), trust_remote_code=True, backend="onnx")
    monkeypatch.setattr(pm, "__version__", "0.0.1")
    with pytest.raises(ImportError, match="requires:\n- polymodal>="):
        loaded(houses / "pair")


def test_prompts_lengths_and_types(run, pair):
    texts = run.embed([{"note": f"photo of {text}"} for text in TEXTS], input="note")
    close(pair.encode(TEXTS, prompt="photo of "), texts)
    close(pair.encode_query(TEXTS), pair.encode_document(TEXTS))
    assert pair.max_seq_length == 128 and pair.tokenizer is pair[0].tokenizer is not None
    wide = pickle.loads(pickle.dumps(pair)).to(torch.float64)
    assert wide.encode(TEXTS).dtype == np.float64
    np.testing.assert_allclose(wide.encode(TEXTS), pair.encode(TEXTS), atol=1e-4)
    tokens = pair.encode(TEXTS, output_value="token_embeddings")
    assert [tuple(item.shape) for item in tokens] == [(3, 12)] * 3


def test_its_losses_reach_both_towers(houses, pair):
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    learning = pickle.loads(pickle.dumps(pair)).train()
    photos = [str(houses / f"photos/{number}.png") for number in range(3)]
    loss = MultipleNegativesRankingLoss(learning)
    loss([learning.preprocess(TEXTS), learning.preprocess(photos)], None).backward()
    model = learning[0].model
    for part in (*model.encoders, *model.space.project, *model.embedding.project.values()):
        grown = [weight.grad for weight in part.parameters() if weight.requires_grad]
        assert not grown or any(grad is not None and grad.abs().sum() > 0 for grad in grown)
    assert all(project.weight.grad.abs().sum() > 0 for project in model.space.project)


def test_one_tower_reads_one_modality(houses, run):
    made = pm.export(run, to="sentence-transformers", output=houses / "texts", inputs=["note"])
    assert made.inputs == {"text": "note"} and made.left_out == ["photo", "voice", "bedrooms"]
    texts = loaded(houses / "texts")
    path = str(houses / "photos/1.png")  # which a text tower takes for a text
    close(texts.encode([path]), run.embed([{"note": path}], input="note"))
    with pytest.raises(ValueError, match="does not support"):
        texts.encode([Image.open(path), "a garden"])
    pm.export(houses / "run", to="sentence-transformers", output=houses / "photos_only", inputs=["photo"])
    photos = loaded(houses / "photos_only")
    close(photos.encode([path]), run.embed([{"photo": path}], input="photo"))
    assert photos.tokenizer is None and photos.max_seq_length is None and photos.modalities == ["image"]
    assert not (houses / "photos_only/reader_0").exists()  # nothing of the texts is in it


def test_towers_from_checkpoints(tmp_path):
    """A frozen text tower, and texts in two columns that share it: the chosen one's segment goes with it."""
    words = train_tokenizer(["bright balcony", "garden and garage", "a quiet street"])
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    BertModel(BertConfig(vocab_size=len(words), **sizes)).save_pretrained(tmp_path / "bert")
    words.save_pretrained(tmp_path / "bert")
    rows = [row | {"also": row["note"][::-1]} for row in house_rows(tmp_path, 30, empty=0.0)]
    write_table(tmp_path / "houses.csv", rows)
    encoder = [f"inputs.{name}.{setting}" for name in ("note", "also")
               for setting in (f"encoder={tmp_path / 'bert'}", "freeze=true")]  # fmt: skip
    run = pm.pretrain(tmp_path / "houses.csv", inputs=["note", "photo", "also"], output=tmp_path / "run",
                      settings=[*tiny("photo"), *encoder])  # fmt: skip
    for name in ("note", "also"):
        pm.export(run, to="sentence-transformers", output=tmp_path / name, inputs=[name, "photo"])
        expected = run.embed([{name: text} for text in TEXTS], input=name)
        close(loaded(tmp_path / name).encode(TEXTS), expected)
    assert np.abs(expected - run.embed([{"note": text} for text in TEXTS], input="note")).max() > 1e-3
    with pytest.raises(pm.RunError, match=r"note, also are all read as text.*inputs="):
        pm.export(run, to="sentence-transformers", output=tmp_path / "both")


def test_adapters_go_with_it(tmp_path):
    words = train_tokenizer(["bright balcony"])
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
    BertModel(BertConfig(vocab_size=len(words), **sizes)).save_pretrained(tmp_path / "bert")
    words.save_pretrained(tmp_path / "bert")
    write_table(tmp_path / "houses.csv", house_rows(tmp_path, 30, empty=0.0))
    given = [f"inputs.note.encoder={tmp_path / 'bert'}", "inputs.note.lora={rank: 2}"]
    run = pm.pretrain(tmp_path / "houses.csv", inputs=["note", "photo"], output=tmp_path / "run",
                      settings=[*tiny("photo"), *given])  # fmt: skip
    pm.export(run, to="sentence-transformers", output=tmp_path / "towers")
    close(
        loaded(tmp_path / "towers").encode(TEXTS), run.embed([{"note": text} for text in TEXTS], input="note")
    )


@pytest.mark.parametrize(
    "sample, said",
    [
        ("", "an empty text"),
        ({"image": "absent.png"}, "absent.png does not exist"),
        (("a text", "another"), "a pair of texts"),
        ({"text": "a garden", "image": Image.new("RGB", (4, 4))}, "image and text"),
        ({"role": "user", "content": [{"type": "text", "text": "a"}] * 2}, "2 parts"),
        ({"role": "user", "content": [{"text": "a"}]}, "without its type"),
        (np.zeros(100, dtype=np.float32), "audio"),
    ],
    ids=lambda value: str(value)[:20],
)  # fmt: skip
def test_what_cannot_be_encoded_is_said(pair, sample, said):
    with pytest.raises((pm.PolymodalError, ValueError), match=said):
        pair.encode([sample])
    with pytest.raises(ValueError, match="no options for reading"):
        pair.encode(TEXTS, processing_kwargs={"text": {"max_length": 4}})


def test_a_space_without_projection_is_exported_too(houses, tmp_path):
    given = [*tiny("photo"), "inputs.note.tokens=3", "fusion.space_projection=false", "train.epochs=1"]
    run = pm.pretrain(houses / "houses.csv", inputs=["photo", "note"], objectives=["contrastive"],
                      output=tmp_path / "run", settings=given)  # fmt: skip
    pm.export(run, to="sentence-transformers", output=tmp_path / "pair")
    close(
        loaded(tmp_path / "pair").encode(TEXTS), run.embed([{"note": text} for text in TEXTS], input="note")
    )
