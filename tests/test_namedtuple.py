"""Our NamedTuple makes what typing's makes."""

from __future__ import annotations

import inspect
import pickle
import typing

import pytest

from birdlite import namedtuple


class Ours(namedtuple.NamedTuple):
    """A bird."""

    name: str
    legs: int = 2
    colours: tuple[str, ...] = ()

    @property
    def shout(self) -> str:
        """Loudly."""
        return self.name.upper()


class Theirs(typing.NamedTuple):
    """A bird."""

    name: str
    legs: int = 2
    colours: tuple[str, ...] = ()

    @property
    def shout(self) -> str:
        """Loudly."""
        return self.name.upper()


def test_values_are_made_compared_and_shown_as_those_of_typing_are() -> None:
    ours, theirs = Ours("wren", colours=("brown",)), Theirs("wren", colours=("brown",))

    assert tuple(ours) == tuple(theirs)
    assert repr(ours) == repr(theirs).replace("Theirs", "Ours")
    assert (ours.name, ours.legs, ours.shout) == ("wren", 2, "WREN")
    assert ours._replace(legs=1) == ("wren", 1, ("brown",))
    assert ours._asdict() == theirs._asdict()
    assert pickle.loads(pickle.dumps(ours)) == ours


@pytest.mark.parametrize("attribute", ["_fields", "_field_defaults", "__doc__", "__module__", "__slots__"])
def test_classes_say_the_same_of_themselves(attribute: str) -> None:
    assert getattr(Ours, attribute) == getattr(Theirs, attribute)


def test_fields_have_types_for_whoever_asks() -> None:
    assert typing.get_type_hints(Ours) == typing.get_type_hints(Theirs)
    assert str(inspect.signature(Ours)) == "(name: 'str', legs: 'int' = 2, colours: 'tuple[str, ...]' = ())"


def test_what_is_missing_too_much_or_changed_is_an_error() -> None:
    with pytest.raises(TypeError, match="name"):
        Ours()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Ours("wren", 2, (), 4)  # type: ignore[call-arg]
    with pytest.raises(AttributeError):
        Ours("wren").legs = 3  # type: ignore[misc]
