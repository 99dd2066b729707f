"""Processes that die, each a step later than the one before. A program that calls this begins with the text of it."""

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any


def die_before_each_step(
    steps: Sequence[tuple[Any, str]],
    prepare: Callable[[int], object],
    take: Callable[[int], object],
    numbers: Iterable[int],
    counts: Callable[[Any], bool] = lambda first: True,
) -> None:
    """
    For each n in a process of its own, prepare, then take and die before the n-th step; print the n of one that lives.

    Steps are calls of functions, given by owner and name, that `counts` says of their first argument.
    """
    real = {step: getattr(*step) for step in steps}

    def dying(step: tuple[Any, str], left: list[None]) -> Callable[..., Any]:
        def called(*arguments: Any, **options: Any) -> Any:
            if counts(arguments[0]):
                left.pop() if left else os._exit(99)
            return real[step](*arguments, **options)

        return called

    for n in numbers:
        pid = os.fork()
        if pid == 0:
            prepare(n)
            left = [None] * n
            for step in steps:
                setattr(*step, dying(step, left))
            take(n)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if code == 0:
            break
        assert code == 99, code
    print(n)
