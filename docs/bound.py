"""A Griffe extension for mkdocstrings: signatures and defaults as callers meet them."""

from inspect import ismethod
from typing import Any

from griffe import DocstringSectionKind, Extension, Function, ObjectNode


class Bound(Extension):
    """Leave `self` out of the signatures of bound methods; defaults are those of signatures."""

    def on_function_instance(self, *, node: Any, func: Function, **kwargs: Any) -> None:
        """Called with each function that is found."""
        if isinstance(node, ObjectNode) and ismethod(node.obj) and "self" in func.parameters:
            del func.parameters["self"]
        # Griffe takes the first of `{'a', 'b'}` for the default.
        for section in func.docstring.parsed if func.docstring else ():
            if section.kind is DocstringSectionKind.parameters:
                for described in section.value:
                    known = described.name in func.parameters
                    described.default = func.parameters[described.name].default if known else None
