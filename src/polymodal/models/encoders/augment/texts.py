"""Augmentation of texts: word dropout."""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

STARTS, ENDS, SPECIAL = 1, 2, 4
"""Marks of a token: first of a word, last of a word, or part of no word."""
FIRST = ("▁", "Ġ")
"""Prefix of the first token of a word, in SentencePiece and byte-level BPE."""
LATER = "##"
"""Prefix of the other tokens, in WordPiece."""
LAST = "</w>"
"""Suffix of the last token of a word, in CLIP's BPE."""


def word_marks(tokenizer: PreTrainedTokenizerBase, size: int) -> Tensor:
    """The marks of ``size`` token ids: uint8 ``(size,)``, sums of the marks above.

    Words are separated by the tokenizer's most frequent sign of a start or end; without any sign, each token
    is a word. Tokens of no word (start, end, padding, mask) are ``SPECIAL``; the unknown token is a word.
    """
    vocabulary = {token: number for token, number in tokenizer.get_vocab().items() if number < size}
    signs: Counter[str] = Counter()
    for token in vocabulary:
        signs.update(sign for sign in (*FIRST, LATER) if token.startswith(sign))
        signs[LAST] += token.endswith(LAST)
    sign = signs.most_common(1)[0][0] if signs.total() else None
    marks = torch.zeros(size, dtype=torch.uint8)
    for token, number in vocabulary.items():
        marks[number] = _mark(token, sign)
    named = list(tokenizer.special_tokens_map.values())
    for token, number in zip(tokenizer.all_special_tokens, tokenizer.all_special_ids, strict=True):
        if number < size:  # GPT-2 has one token for the end and for unknown text
            is_unknown = token == tokenizer.unk_token and named.count(token) == 1
            marks[number] = STARTS | ENDS if is_unknown else SPECIAL
    return marks


def _mark(token: str, sign: str | None) -> int:
    if sign == LAST:
        return ENDS if token.endswith(LAST) else 0
    if sign == LATER:
        return 0 if token.startswith(LATER) else STARTS
    return STARTS if sign is None or token.startswith(sign) else 0


def drop_words(ids: Tensor, mask: Tensor, marks: Tensor, share: float, padding: int) -> tuple[Tensor, Tensor]:
    """Word dropout: remove each word with probability ``share`` (Iyyer et al. 2015, section 3.3), never all.

    A word is removed with all its tokens, and the rest is joined, as if the text were shorter. In byte-level
    BPE a comma belongs to the word before it; in scripts without spaces a phrase is a word.

    Args:
        ids: Token ids ``(items, length)``.
        mask: ``(items, length)``, 1 on content.
        marks: See :func:`word_marks`.
        share: Probability of each word to be removed.
        padding: Token id after the shortened texts.

    Returns:
        ids and mask of the same length.
    """
    kind = marks[ids].int()
    is_word = mask.bool() & (kind & SPECIAL == 0)
    before = torch.zeros_like(kind)
    before[:, 1:] = torch.where(is_word, kind, ENDS)[:, :-1]  # other tokens end the word before them
    before[:, 0] = ENDS
    begins = is_word & ((kind & STARTS > 0) | (before & ENDS > 0))
    chance = torch.rand(len(ids), ids.shape[1] + 1, device=ids.device).gather(1, begins.cumsum(dim=1))
    luckiest = chance.masked_fill(~is_word, 0).amax(dim=1, keepdim=True)
    keeps = mask.bool() & (~is_word | (chance >= luckiest.clamp(max=share)))
    order = (~keeps).int().argsort(dim=1, stable=True)
    keeps = keeps.gather(1, order)
    return ids.gather(1, order).masked_fill(~keeps, padding), keeps.to(mask.dtype)
