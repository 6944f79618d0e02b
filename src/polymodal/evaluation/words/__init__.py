"""Temporary."""


def suited(references):
    return ["exact_match"]


def measure_words(answers, references, metrics=None):
    return {
        "exact_match": sum(a.strip() == r[0].strip() for a, r in zip(answers, references))
        / max(1, len(answers))
    }
