"""Texts without some of their words."""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

STARTS, ENDS, SPECIAL = 1, 2, 4
"""What a token is to the words of a text: their first, their last, or none of theirs."""
FIRST = ("▁", "Ġ")
"""Stands before the first token of a word: in SentencePiece, in BPE on bytes."""
LATER = "##"
"""Stands before all others, in WordPiece."""
LAST = "</w>"
"""Stands behind the last token of a word, in CLIP's BPE."""


def word_marks(tokenizer: PreTrainedTokenizerBase, size: int) -> Tensor:
    """What each of ``size`` token numbers is to words: uint8 ``(size,)``, a sum of the marks above.

    The tokenizer's most frequent sign for where words start or end tells them apart; without any sign, each
    token is a word. What belongs to no word (start, end, padding, mask) is ``SPECIAL``; what is unknown is a
    word.
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
        if number < size:  # GPT-2 calls its end by the same name as what it does not know
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
    """Take out each word of a text with probability ``share`` (Iyyer et al. 2015, section 3.3), never all.

    A word goes with all its tokens, and the rest closes up: the model reads what it would read of the shorter
    text. In BPE on bytes, a comma goes with the word before it; in scripts without spaces a phrase is a word.

    Args:
        ids: Token numbers ``(items, length)``.
        mask: As long, 1 on content.
        marks: See :func:`word_marks`.
        share: Chance of each word to go.
        padding: Stands behind the shortened texts.

    Returns:
        ids and mask, as long as before.
    """
    kind = marks[ids].int()
    is_word = mask.bool() & (kind & SPECIAL == 0)
    before = torch.zeros_like(kind)
    before[:, 1:] = torch.where(is_word, kind, ENDS)[:, :-1]  # what is no word ends the one before it
    before[:, 0] = ENDS
    begins = is_word & ((kind & STARTS > 0) | (before & ENDS > 0))
    chance = torch.rand(len(ids), ids.shape[1] + 1, device=ids.device).gather(1, begins.cumsum(dim=1))
    luckiest = chance.masked_fill(~is_word, 0).amax(dim=1, keepdim=True)
    keeps = mask.bool() & (~is_word | (chance >= luckiest.clamp(max=share)))
    order = (~keeps).int().argsort(dim=1, stable=True)
    keeps = keeps.gather(1, order)
    return ids.gather(1, order).masked_fill(~keeps, padding), keeps.to(mask.dtype)
