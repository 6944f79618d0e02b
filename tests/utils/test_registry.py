"""Names for components, and the public names of the package."""

import pytest

import polymodal
from polymodal.errors import ConfigError
from polymodal.utils.registry import Registry, accepted


@pytest.fixture
def shapes():
    registry = Registry("shape")
    registry.register("square")(1)
    registry.register("circle")(2)
    return registry


def test_a_component_is_had_by_its_name(shapes):
    assert shapes["circle"] == 2
    assert list(shapes) == ["square", "circle"] and len(shapes) == 2
    assert "square" in shapes and "oval" not in shapes


def test_registering_gives_back_what_is_registered(shapes):
    @shapes.register("oval")
    class Oval: ...

    assert shapes["oval"] is Oval


def test_a_name_given_twice_is_refused(shapes):
    with pytest.raises(ValueError, match="there is a shape named 'circle' already"):
        shapes.register("circle")(3)
    assert shapes["circle"] == 2


def test_an_unknown_name_is_refused_and_the_nearest_named(shapes):
    with pytest.raises(
        ConfigError, match=r"no shape named 'circel'. Did you mean 'circle'\? There are: square, circle"
    ):
        shapes["circel"]


@pytest.mark.parametrize("name", polymodal.__all__)
def test_every_public_name_is_there(name):
    assert getattr(polymodal, name) is not None
    assert name in dir(polymodal)


def test_another_name_is_none_of_the_package():
    with pytest.raises(AttributeError, match="no attribute 'fti'"):
        polymodal.fti  # noqa: B018


def test_what_a_constructor_hands_on_is_accepted_too():
    class Base:
        def __init__(self, classes, *, dropout=0.1): ...

    class Own(Base):
        def __init__(self, *, doubt=0.1, **options): ...

    class Other(Own): ...

    class Closed(Base):
        def __init__(self, *, width): ...

    assert accepted(Own) == accepted(Other) == ["doubt", "classes", "dropout"]
    assert accepted(Closed) == ["width"]
