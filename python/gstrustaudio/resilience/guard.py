# SPDX-License-Identifier: MIT
"""Functions, sync and async, called by way of a `Caller`."""
from __future__ import annotations

import asyncio
import functools
import inspect
import time
from typing import Any, Awaitable, Callable, Concatenate, Dict, Optional, ParamSpec, Protocol, TypeVar, overload

from .calls import Caller

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
S = TypeVar("S")


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None))


def _guard(
    function: Callable[..., Any], caller: Caller, sleep: Optional[Callable[[float], Any]]
) -> Any:
    """``function``, sync or async, called by ``caller``."""
    if _is_async(function):
        return _guard_async(function, caller, sleep or asyncio.sleep)
    pause = sleep or time.sleep

    @functools.wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        work = caller.begin()
        try:
            while True:
                try:
                    result = function(*args, **kwargs)
                except Exception as error:
                    wait = caller.failed(work, error)
                    if wait is None:
                        raise
                else:
                    caller.succeeded(work)
                    return result
                pause(wait)
                work.again()
        finally:
            # A traceback that is kept would keep it, and with it the trial of a breaker.
            work.abandon()

    return guarded


def _guard_async(
    function: Callable[..., Awaitable[Any]],
    caller: Caller,
    sleep: Callable[[float], Any],
) -> Any:
    @functools.wraps(function)
    async def guarded(*args: Any, **kwargs: Any) -> Any:
        work = caller.begin()
        try:
            while True:
                try:
                    result = await function(*args, **kwargs)
                except Exception as error:
                    wait = caller.failed(work, error)
                    if wait is None:
                        raise
                else:
                    caller.succeeded(work)
                    return result
                await slept(sleep(wait))
                work.again()
        finally:
            work.abandon()

    return guarded


async def slept(pause: Any) -> None:
    """``sleep`` may be one that blocks, or that does nothing, as in a test."""
    if inspect.isawaitable(pause):
        await pause


def decorated(
    function: Any, name: Optional[str], make: Callable[[str], Caller],
    sleep: Optional[Callable[[float], Any]],
) -> Any:
    if not callable(function):
        raise TypeError(f"expected a function, got {function!r}")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(
            f"{function.__qualname__} is a generator: what it has given cannot be taken back. Guard what it "
            "calls for each item, or write `for attempt in retry(policy): with attempt: …` in it")
    who = name or getattr(function, "__qualname__", None) or type(function).__qualname__
    caller = make(who)
    guarded = _guard(function, caller, sleep)
    guarded.metrics = caller.metrics
    return guarded


class Guarded(Protocol[P, R_co]):
    """A function that `retry` or a `CircuitBreaker` guards: what it was, and ``metrics()``."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...

    def metrics(self) -> Dict[str, Any]:
        """Figures of its calls so far, by the names of the elements' message ``rustaudio-metrics``.

        A call with all its attempts counts as a buffer; ``num-calls`` counts attempts, ``num-errors``
        those that failed. Times are in ns; waits are not in them. `Metrics.from_fields` reads it, for
        `Exporter.add`; `pipeline_document` takes it as it is."""

    @overload
    def __get__(self, instance: None, owner: Any = None) -> Guarded[P, R_co]: ...
    @overload
    def __get__(self: Guarded[Concatenate[S, Q], R_co], instance: S, owner: Any = None) -> Callable[Q, R_co]: ...
