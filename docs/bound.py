"""A Griffe extension for mkdocstrings: functions that are methods of an object are called without it."""

from inspect import ismethod
from typing import Any

from griffe import Extension, Function, ObjectNode


class Bound(Extension):
    """Leave `self` out of the signatures of bound methods."""

    def on_function_instance(self, *, node: Any, func: Function, **kwargs: Any) -> None:
        """Called with each function that is found."""
        if isinstance(node, ObjectNode) and ismethod(node.obj) and "self" in func.parameters:
            del func.parameters["self"]
