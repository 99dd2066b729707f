"""Conditions in the syntax of PyTables, as expressions of Arrow."""

import ast
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mica_lake.errors import near

_FUNCTIONS = {
    "abs": pc.abs, "arccos": pc.acos, "arccosh": pc.acosh, "arcsin": pc.asin, "arcsinh": pc.asinh, "arctan": pc.atan,
    "arctan2": pc.atan2, "arctanh": pc.atanh, "ceil": pc.ceil, "cos": pc.cos, "cosh": pc.cosh, "exp": pc.exp,
    "expm1": pc.expm1, "floor": pc.floor, "log": pc.ln, "log10": pc.log10, "log1p": pc.log1p, "sin": pc.sin,
    "sinh": pc.sinh, "sqrt": pc.sqrt, "tan": pc.tan, "tanh": pc.tanh, "where": pc.if_else,
}  # fmt: skip
_OPERATIONS: dict[type, Any] = {
    ast.Add: pc.add, ast.Sub: pc.subtract, ast.Mult: pc.multiply, ast.Div: pc.divide, ast.Pow: pc.power,
    ast.BitAnd: pc.and_kleene, ast.BitOr: pc.or_kleene, ast.Eq: pc.equal, ast.NotEq: pc.not_equal, ast.Lt: pc.less,
    ast.LtE: pc.less_equal, ast.Gt: pc.greater, ast.GtE: pc.greater_equal,
}  # fmt: skip


def condition(text: str, columns: Mapping[str, pa.DataType]) -> pc.Expression:
    """
    A condition on rows; a row where something in it is null does not meet it.

    A ValueError if it cannot be read, or names a column or function that is not there.

    Examples
    --------
    >>> rows = pa.table({"exp_time": [5.0, None, 20.0]})
    >>> rows.filter(condition("~(exp_time < 10)", {"exp_time": pa.float64()})).num_rows
    1
    """
    try:
        parsed = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"where {text!r} cannot be read: {getattr(error, 'msg', error)}") from None

    def of(node: ast.AST) -> Any:
        match node:
            case ast.Constant(value=bool() | str() as value):
                return pc.scalar(value)
            case ast.Constant(value=bytes() as value):
                return pc.scalar(value.decode("utf-8", "replace"))
            case ast.Constant(value=int() | float() as value):
                return pc.scalar(float(value))
            case ast.Name(id=name):
                if name not in columns:
                    raise ValueError(f"where {text!r}: there is no column {name!r}{near(name, columns)}")
                # Whole numbers would be divided, or overflow, as such: all numbers are floats here.
                return pc.field(name).cast(pa.float64()) if pa.types.is_integer(columns[name]) else pc.field(name)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATIONS:
                return _OPERATIONS[type(op)](of(left), of(right))
            case ast.BinOp(left=left, op=ast.Mod(), right=right):
                a, b = of(left), of(right)
                # With the sign of what is divided, as in C: Python's would have that of the divisor.
                return pc.subtract(a, pc.multiply(pc.trunc(pc.divide(a, b)), b))
            case ast.UnaryOp(op=ast.Invert(), operand=operand):
                return pc.invert(of(operand))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return pc.negate(of(operand))
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return of(operand)
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _OPERATIONS:
                return _OPERATIONS[type(op)](of(left), of(right))
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _FUNCTIONS:
                values = [of(one) for one in arguments]
                try:
                    return _FUNCTIONS[name](*values)
                except TypeError as error:
                    raise ValueError(f"where {text!r}: {ast.unparse(node)!r} cannot be computed: {error}") from None
        raise ValueError(f"where {text!r}: {ast.unparse(node)!r} is not known; combine comparisons with & | ~")

    return of(parsed)
