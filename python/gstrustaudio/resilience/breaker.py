# SPDX-License-Identifier: MIT
"""The circuit breaker."""
from __future__ import annotations

import contextvars
from typing import Any, Callable, Dict, Optional, ParamSpec, Tuple, TypeVar, cast

from .. import _native
from .calls import Caller, CallEvent
from .guard import Guarded, decorated
from .policy import RetryPolicy, number

P = ParamSpec("P")
R = TypeVar("R")

# Entered breakers of this thread or task, with the work that each entry is.
_entered: contextvars.ContextVar[Tuple[Tuple[CircuitBreaker, _native.Work], ...]] = (
    contextvars.ContextVar("gstrustaudio_entered", default=()))


class CircuitBreaker:
    """Keeps calls away from what failed several times in a row, and tries one after a pause.

    A decorator for functions and ``async`` functions, a context (``with`` and ``async with``), and what
    `retry` takes, where a call counts with all its attempts. Any number of threads and tasks may use it at
    the same time; one of them makes the trial, and what comes of calls that started before the breaker
    changed does not count.

    Parameters
    ----------
    threshold : int
        Failures in a row that open it; 0 = never.
    cooldown : float
        Seconds for which it skips calls, before one is tried; that one is not tried again.
    name : str, optional
        What metrics, events and errors call what it guards, where that has no name of its own.
    on_event : callable, optional
        Gets a `NodeFailure` for each failure and a `BreakerChange` for each change of state, of what is
        guarded by this object itself: `retry` has an ``on_event`` of its own.
    clock : callable, optional
        Seconds, instead of `time.monotonic`: for tests.

    Raises
    ------
    CircuitOpenError
        By calls and entries while it is open.

    Examples
    --------
    >>> now = 0.0
    >>> breaker = CircuitBreaker(threshold=2, cooldown=30.0, clock=lambda: now)
    >>> @breaker
    ... def ask(question):
    ...     if now < 30:
    ...         raise ConnectionError("reset")
    ...     return "me"
    >>> for _ in range(3):
    ...     try:
    ...         ask("who?")
    ...     except Exception as error:
    ...         print(type(error).__name__, breaker.state)
    ConnectionError closed
    ConnectionError open
    CircuitOpenError open
    >>> now = 30.0
    >>> ask("who?"), breaker.state
    ('me', 'closed')
    """

    def __init__(
        self,
        threshold: int = 5,
        cooldown: float = 30.0,
        *,
        name: Optional[str] = None,
        on_event: Optional[Callable[[CallEvent], object]] = None,
        clock: Optional[Callable[[], float]] = None,
    ) -> None:
        if isinstance(threshold, bool) or not isinstance(threshold, int):
            raise TypeError(f"threshold: expected an int, got {threshold!r}")
        if not 0 <= threshold < 2**32:
            raise ValueError(f"threshold: expected 0 to {2**32 - 1}, got {threshold}")
        self.threshold = threshold
        self.cooldown = number("cooldown", cooldown, 0.0)
        self._native = _native.Breaker(threshold, self.cooldown)
        self._name = name
        self._on_event = on_event
        self._clock = clock
        self._blocks = self._caller(name or "block")

    def _caller(self, name: str) -> Caller:
        return Caller(name, RetryPolicy(max_retries=0), self._native, self._on_event, self._clock, signs=False)

    @property
    def state(self) -> str:
        """``closed``, ``open`` or ``half-open``: a trial is under way."""
        return self._native.state

    @property
    def failures(self) -> int:
        """Failures since the last success."""
        return self._native.failures

    def retry_after(self) -> float:
        """Seconds until a call may be tried; 0 unless it is open."""
        return self._native.retry_after(None if self._clock is None else self._clock())

    def reset(self) -> None:
        """Closes it, as a success would."""
        change = self._native.reset()
        if change is not None:
            self._blocks.tell_change(change)

    def __call__(self, function: Callable[P, R]) -> Guarded[P, R]:
        return cast("Guarded[P, R]", decorated(function, self._name, self._caller, None))

    def metrics(self) -> Dict[str, Any]:
        """As `Guarded.metrics`, of the blocks in ``with``."""
        return self._blocks.metrics()

    def __enter__(self) -> CircuitBreaker:
        _entered.set((*_entered.get(), (self, self._blocks.begin())))
        return self

    def __exit__(self, kind: Any, error: Optional[BaseException], _: Any) -> None:
        entered = list(_entered.get())
        last = max(n for n, (breaker, _) in enumerate(entered) if breaker is self)
        work = entered.pop(last)[1]
        _entered.set(tuple(entered))
        try:
            if error is None:
                self._blocks.succeeded(work)
            elif isinstance(error, Exception):
                self._blocks.failed(work, error)
        finally:
            work.abandon()

    async def __aenter__(self) -> CircuitBreaker:
        return self.__enter__()

    async def __aexit__(self, kind: Any, error: Optional[BaseException], _: Any) -> None:
        self.__exit__(kind, error, _)
