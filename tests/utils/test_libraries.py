"""A library that is not installed is named with the command that installs it; other errors are not hidden."""

import sys

import pytest

from polymodal.utils.libraries import missing_library


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("tabicl._model", ("tabicl", "pip install 'polymodal[tabicl]'")),
        ("sklearn.svm", ("scikit-learn", "pip install scikit-learn")),
        ("peft", ("peft", "pip install peft")),
    ],
)
def test_the_package_is_named(monkeypatch, module, expected):
    monkeypatch.setitem(sys.modules, module.partition(".")[0], None)
    with pytest.raises(ModuleNotFoundError) as caught:
        __import__(module)
    assert missing_library(caught.value) == expected


@pytest.mark.parametrize("module", ["polymodal.nothing", "json.nothing"])
def test_an_error_of_the_program_is_none_of_these(module):
    with pytest.raises(ModuleNotFoundError) as caught:
        __import__(module)
    assert missing_library(caught.value) is None
