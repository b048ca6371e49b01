# SPDX-License-Identifier: MIT
"""Retries: of a function, and of a block."""
from __future__ import annotations

import asyncio
import time
from typing import Any, Callable, Dict, Optional, ParamSpec, TypeVar, cast, overload

from .. import _native
from .breaker import CircuitBreaker
from .calls import Caller, CallEvent
from .guard import Guarded, decorated, slept
from .policy import RetryPolicy

P = ParamSpec("P")
R = TypeVar("R")


class Attempt:
    """One attempt at a block: ``for attempt in retry(policy): with attempt: …``.

    Attributes
    ----------
    number : int
        From 1.
    """

    def __init__(self, caller: Caller, work: _native.Work) -> None:
        self._caller = caller
        self._work = work
        self.number: int = work.number
        self._over = False
        self._wait: Optional[float] = None

    def __enter__(self) -> Attempt:
        return self

    def __exit__(self, kind: Any, error: Optional[BaseException], _: Any) -> bool:
        self._over = True
        if error is None:
            self._caller.succeeded(self._work)
        elif isinstance(error, Exception):
            self._wait = self._caller.failed(self._work, error)
        if self._wait is None:
            self._work.abandon()
        return self._wait is not None

    def _next(self) -> Optional[float]:
        """The wait before the next attempt; ``None`` if there is none."""
        if not self._over:
            self._work.abandon()
            raise RuntimeError("nothing was tried: write `for attempt in retry(policy): with attempt: …`")
        return self._wait


class _Attempts:
    """Iterates over attempts until one succeeds."""

    def __init__(self, caller: Caller, sleep: Optional[Callable[[float], Any]]) -> None:
        self._caller = caller
        self._sleep = sleep
        self._last: Optional[Attempt] = None

    def __iter__(self) -> _Attempts:
        return self

    def __aiter__(self) -> _Attempts:
        return self

    def __next__(self) -> Attempt:
        if self._last is not None:
            wait = self._last._next()
            if wait is None:
                raise StopIteration
            try:
                (self._sleep or time.sleep)(wait)
            except BaseException:
                self._last._work.abandon()
                raise
        return self._start()

    async def __anext__(self) -> Attempt:
        if self._last is not None:
            wait = self._last._next()
            if wait is None:
                raise StopAsyncIteration
            try:
                await slept((self._sleep or asyncio.sleep)(wait))
            except BaseException:
                self._last._work.abandon()
                raise
        return self._start()

    def _start(self) -> Attempt:
        if self._last is None:
            work = self._caller.begin()
        else:
            work = self._last._work
            work.again()
        self._last = Attempt(self._caller, work)
        return self._last


class Retry:
    """What `retry` gives: a decorator, and an iterable of attempts at a block."""

    def __init__(
        self,
        policy: RetryPolicy,
        breaker: Optional[CircuitBreaker],
        name: Optional[str],
        sleep: Optional[Callable[[float], Any]],
        on_event: Optional[Callable[[CallEvent], object]],
        clock: Optional[Callable[[], float]],
    ) -> None:
        self.policy = policy
        self.breaker = breaker
        self._name = name
        self._sleep = sleep
        self._on_event = on_event
        self._clock = clock
        self._blocks = self._caller(name or "block")

    def _caller(self, name: str) -> Caller:
        breaker = None if self.breaker is None else self.breaker._native
        return Caller(name, self.policy, breaker, self._on_event, self._clock)

    def __call__(self, function: Callable[P, R]) -> Guarded[P, R]:
        return cast("Guarded[P, R]", decorated(function, self._name, self._caller, self._sleep))

    def __iter__(self) -> _Attempts:
        return _Attempts(self._blocks, self._sleep)

    def __aiter__(self) -> _Attempts:
        return _Attempts(self._blocks, self._sleep)

    def metrics(self) -> Dict[str, Any]:
        """As `Guarded.metrics`, of the blocks that were tried by ``for attempt in …``."""
        return self._blocks.metrics()


@overload
def retry(policy: Callable[P, R]) -> Guarded[P, R]: ...
@overload
def retry(
    policy: Optional[RetryPolicy] = None,
    *,
    breaker: Optional[CircuitBreaker] = None,
    name: Optional[str] = None,
    sleep: Optional[Callable[[float], Any]] = None,
    on_event: Optional[Callable[[CallEvent], object]] = None,
    clock: Optional[Callable[[], float]] = None,
) -> Retry: ...
def retry(
    policy: Any = None,
    *,
    breaker: Optional[CircuitBreaker] = None,
    name: Optional[str] = None,
    sleep: Optional[Callable[[float], Any]] = None,
    on_event: Optional[Callable[[CallEvent], object]] = None,
    clock: Optional[Callable[[], float]] = None,
) -> Any:
    """Calls a function again where it fails in a way that may pass.

    Parameters
    ----------
    policy : RetryPolicy, optional
        How often and how long: by default three retries, after 100, 200 and 400 ms. A function in its
        place is decorated by the default policy.
    breaker : CircuitBreaker, optional
        Keeps calls away from what failed several times in a row. Others may share it.
    name : str, optional
        What metrics and events call the function; by default its qualified name.
    sleep : callable, optional
        Waits so many seconds between attempts, instead of `time.sleep` and `asyncio.sleep`; what can be
        awaited is awaited. An exception that it raises ends the attempts.
    on_event : callable, optional
        Gets a `NodeFailure` for each attempt that failed and a `BreakerChange` for each change of the
        breaker, as `Exporter.add` takes them; at once, in the thread of the call.
    clock : callable, optional
        Seconds, instead of `time.monotonic`: for tests.

    Returns
    -------
    Retry
        A decorator for functions and ``async`` functions, which it leaves as they are but for the attribute
        ``metrics``; and an iterable of attempts at a block.

    Notes
    -----
    The exception of the last attempt reaches the caller as it was raised, with its own traceback; its
    attribute ``retry_info`` is a `RetryInfo`, and where there were several attempts a note tells of them.
    ``KeyboardInterrupt``, ``SystemExit`` and a cancelled task end calls and waits at once; the breaker does
    not count them. Any number of threads and tasks may call at the same time.

    Examples
    --------
    >>> from gstrustaudio import RetryPolicy, retry
    >>> tries = []
    >>> @retry(RetryPolicy(max_retries=2), sleep=lambda seconds: None)
    ... def ask(question: str) -> str:
    ...     tries.append(question)
    ...     raise TimeoutError("no answer")
    >>> try:
    ...     ask("who?")
    ... except TimeoutError as error:
    ...     print(error, error.retry_info.attempts, error.retry_info.reason)
    no answer 3 exhausted

    A block, which is tried again where it raises:

    >>> for attempt in retry(sleep=lambda seconds: None):
    ...     with attempt:
    ...         if attempt.number < 3:
    ...             raise ConnectionError("reset")
    >>> attempt.number
    3
    """
    if policy is not None and not isinstance(policy, RetryPolicy):
        if not callable(policy):
            raise TypeError(f"policy: expected a RetryPolicy, got {policy!r}")
        return Retry(RetryPolicy(), breaker, name, sleep, on_event, clock)(policy)
    if breaker is not None and not isinstance(breaker, CircuitBreaker):
        raise TypeError(f"breaker: expected a CircuitBreaker, got {breaker!r}")
    return Retry(policy or RetryPolicy(), breaker, name, sleep, on_event, clock)
