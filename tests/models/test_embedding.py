"""The embedding is BERT's, extended: 2-D positions, segments by input, a token for what is missing."""

import pytest
import torch
from transformers import BertConfig
from transformers.models.bert.modeling_bert import BertEmbeddings

from polymodal.models.embedding import EmbeddingInput, MultimodalEmbedding, lay_out
from polymodal.models.outputs import TokenSequence


def sequence(tokens, grid=None, row=None, mask=None):
    items, length = tokens.shape[:2]
    mask = torch.ones(items, length, dtype=torch.bool) if mask is None else mask
    row = torch.arange(items) if row is None else torch.tensor(row)
    return TokenSequence(tokens, mask, row, grid or (length,))


@pytest.mark.parametrize("segment", [0, 1])
def test_berts_tables_give_berts_own_sum(segment):
    torch.manual_seed(0)
    config = BertConfig(vocab_size=50, hidden_size=24, max_position_embeddings=16, type_vocab_size=2)
    bert = BertEmbeddings(config).eval()
    for parameter in bert.parameters():
        torch.nn.init.normal_(parameter)
    inputs = [EmbeddingInput(name, encoder=0, width=24, tokens=16) for name in ("first", "second")]
    ours = MultimodalEmbedding(inputs, width=24, eps=config.layer_norm_eps).eval()
    ours.position["0"][0].load_state_dict(bert.position_embeddings.state_dict())
    ours.segment.load_state_dict(bert.token_type_embeddings.state_dict())
    ours.norm.load_state_dict(bert.LayerNorm.state_dict())

    ids = torch.randint(0, 50, (3, 11))
    words = bert.word_embeddings(ids)
    embedded = ours({inputs[segment].name: sequence(words)}, rows=3)[inputs[segment].name]

    expected = bert(input_ids=ids, token_type_ids=torch.full_like(ids, segment))
    torch.testing.assert_close(embedded.tokens, expected, atol=1e-6, rtol=1e-6)
    assert embedded.mask.all() and embedded.present.all()


def test_bert_adds_no_other_table():
    config = BertConfig(vocab_size=50, hidden_size=16, max_position_embeddings=8, type_vocab_size=2)
    bert = BertEmbeddings(config).eval()
    assert {name for name, _ in bert.named_parameters()} == {
        "word_embeddings.weight",
        "position_embeddings.weight",
        "token_type_embeddings.weight",
        "LayerNorm.weight",
        "LayerNorm.bias",
    }


def test_a_picture_has_a_position_a_row_and_a_column():
    embedding = MultimodalEmbedding([EmbeddingInput("photo", 0, width=8, axes=2, tokens=9)], width=8).eval()
    tokens = torch.randn(1, 6, 8)
    found = embedding({"photo": sequence(tokens, grid=(2, 3))}, rows=1)["photo"].tokens[0]
    rows, columns = (table.weight for table in embedding.position["0"])
    for place in range(6):
        total = tokens[0, place] + rows[place // 3] + columns[place % 3] + embedding.segment.weight[0]
        torch.testing.assert_close(found[place], embedding.norm(total))


def test_content_of_another_width_is_projected_and_shared_by_encoder():
    inputs = [
        EmbeddingInput("a", 0, width=5),
        EmbeddingInput("b", 0, width=5),
        EmbeddingInput("c", 1, width=8),
    ]
    embedding = MultimodalEmbedding(inputs, width=8).eval()
    assert list(embedding.project) == list(embedding.position) == ["0", "1"]
    assert not list(embedding.project["1"].parameters())  # of the shared width already
    tokens = torch.randn(2, 1, 5)
    found = embedding({"a": sequence(tokens), "b": sequence(tokens)}, rows=2)
    assert not torch.allclose(found["a"].tokens, found["b"].tokens)  # their segments tell them apart


def test_a_missing_input_is_one_learned_token_of_its_own():
    inputs = [EmbeddingInput(name, place, width=8) for place, name in enumerate("ab")]
    embedding = MultimodalEmbedding(inputs, width=8).eval()
    found = embedding({"a": sequence(torch.randn(2, 3, 8), row=[0, 2])}, rows=3)
    for place, (name, row) in enumerate([("a", 1), ("b", 0)]):
        entry = found[name]
        token = embedding.norm(embedding.missing.weight[place] + embedding.segment.weight[place])
        torch.testing.assert_close(entry.tokens[row, 0], token)
        assert entry.mask[row].sum() == 1 and not entry.present[row]
    assert found["a"].present.tolist() == [True, False, True]
    assert found["b"].tokens.shape == (3, 1, 8)
    found["a"].tokens[1, 0, 0].backward()
    assert embedding.missing.weight.grad[0].any() and not embedding.missing.weight.grad[1].any()


def test_items_of_a_row_stand_one_after_another():
    tokens = torch.arange(4.0).view(4, 1, 1).expand(4, 2, 3)
    mask = torch.tensor([[True, True], [True, False], [True, True], [True, True]])
    laid, laid_mask, present = lay_out(tokens, mask, torch.tensor([0, 2, 2, 3]), rows=4)
    assert laid.shape == (4, 4, 3)
    assert laid[2, :, 0].tolist() == [1, 1, 2, 2]
    assert laid_mask.tolist() == [
        [True, True, False, False],
        [False] * 4,
        [True, False, True, True],
        [True, True, False, False],
    ]
    assert present.tolist() == [True, False, True, True]


def test_one_item_for_some_other_row_is_not_taken_for_one_each():
    tokens = torch.randn(2, 1, 3)
    laid, _, present = lay_out(tokens, torch.ones(2, 1, dtype=torch.bool), torch.tensor([1, 1]), rows=2)
    assert present.tolist() == [False, True]
    assert torch.equal(laid[1], tokens[:, 0])
