"""Retries and a circuit breaker for functions of your own: the state machines, the classes of failures and
the metrics of the element ``pypipelinenode``, without a pipeline.

Examples
--------
>>> from gstrustaudio import CircuitBreaker, RetryPolicy, retry
>>> answers = iter([TimeoutError("no answer"), ConnectionError("reset"), "hello"])
>>> waits = []
>>> @retry(breaker=CircuitBreaker(threshold=5, cooldown=30.0), sleep=waits.append)
... def transcribe(audio):
...     answer = next(answers)
...     if isinstance(answer, Exception):
...         raise answer
...     return answer
>>> transcribe(b"...")
'hello'
>>> waits
[0.1, 0.2]
>>> told = transcribe.metrics()
>>> told["num-buffers"], told["num-retries"], told["last-error"], told["breaker-state"]
(1, 2, 'ConnectionError: reset', 'closed')
"""
from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import inspect
import json
import re
import time
from dataclasses import dataclass
from typing import (
    Any,
    Awaitable,
    Callable,
    Concatenate,
    Dict,
    Iterable,
    List,
    Optional,
    ParamSpec,
    Protocol,
    Tuple,
    Type,
    TypeVar,
    Union,
    cast,
    overload,
)

from . import _faults, _native
from .messages import BreakerChange, NodeFailure

_faults._OWN.add(__file__)

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
S = TypeVar("S")

#: What ``retry_on`` takes: names of exceptions, classes of exceptions, or several of both.
RetryOn = Union[str, Type[BaseException], Iterable[Union[str, Type[BaseException]]]]
#: What ``on_event`` is called with.
CallEvent = Union[NodeFailure, BreakerChange]

_KIND = "python-function"
_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


class CircuitOpenError(RuntimeError):
    """The breaker is open: the call was not made.

    Attributes
    ----------
    retry_after : float
        Seconds until a call may be tried.
    failures : int
        Failures in a row that opened the breaker.
    last_error : str
        What was raised last, where this call's own figures know it; else empty.
    """

    def __init__(self, name: str, retry_after: float, failures: int, last_error: str) -> None:
        last = f"; last: {last_error}" if last_error else ""
        wait = f"it is tried again in {retry_after:.3g} s" if retry_after > 0 else "a trial is under way"
        super().__init__(f"{name} failed {failures} times in a row and is not called; {wait}{last}")
        self.retry_after = retry_after
        self.failures = failures
        self.last_error = last_error

    def __reduce__(self) -> Any:
        return _remade, (self.args, self.__dict__)


def _remade(args: Tuple[Any, ...], attributes: Dict[str, Any]) -> CircuitOpenError:
    error = CircuitOpenError.__new__(CircuitOpenError, *args)
    error.args = args
    error.__dict__.update(attributes)
    return error


@dataclass(frozen=True)
class RetryInfo:
    """How the attempts ended; on the exception that reaches the caller, as its attribute ``retry_info``.

    Attributes
    ----------
    attempts, max_attempts : int
        Attempts made, and the most that there could be.
    elapsed : float
        Seconds since the first attempt started.
    reason : str
        ``permanent``: the failure would only come back. ``exhausted``: all retries are used up. ``deadline``:
        the next attempt would start after it.
    """

    attempts: int
    max_attempts: int
    elapsed: float
    reason: str


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how long to try. Names and defaults are those of the element ``pypipelinenode``; times
    are in seconds.

    Parameters
    ----------
    max_retries : int
        Attempts after the first; from 0.
    initial_backoff : float
        Wait before the first retry.
    backoff_multiplier : float
        Factor from each wait to the next; from 1.
    max_backoff : float
        Longest wait.
    deadline : float, optional
        No attempt starts later than this after the first one. A call that runs is not ended.
    retry_on : str, class, or iterable of them, optional
        Exceptions that are transient, instead of the usual ones: class names, dotted or bare, separated
        by commas, or classes; subclasses count. The usual ones are time-outs, connection errors, out of
        memory (GPU too), rate limits and the HTTP statuses 408, 425, 429, 500, 502, 503 and 504, wherever
        clients keep them. What an exception says of itself in a boolean attribute ``retryable`` goes first.

    Raises
    ------
    TypeError, ValueError
        For a value that is none, with what was expected.
    """

    max_retries: int = 3
    initial_backoff: float = 0.1
    backoff_multiplier: float = 2.0
    max_backoff: float = 0.8
    deadline: Optional[float] = None
    retry_on: Optional[RetryOn] = None

    def __post_init__(self) -> None:
        if isinstance(self.max_retries, bool) or not isinstance(self.max_retries, int):
            raise TypeError(f"max_retries: expected an int, got {self.max_retries!r}")
        if not 0 <= self.max_retries < 2**32 - 1:
            raise ValueError(f"max_retries: expected 0 or more, got {self.max_retries}")
        _check("initial_backoff", self.initial_backoff, 0.0)
        _check("backoff_multiplier", self.backoff_multiplier, 1.0)
        _check("max_backoff", self.max_backoff, 0.0)
        if self.deadline is not None:
            _check("deadline", self.deadline, 0.0)
        _transient(self.retry_on)


def _check(name: str, value: object, least: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name}: expected a number, got {value!r}")
    if not least <= value <= 1e9:
        raise ValueError(f"{name}: expected a number from {least:g} to 1e9, got {value!r}")
    return float(value)


def _transient(retry_on: Optional[RetryOn]) -> Tuple[str, Tuple[Type[BaseException], ...]]:
    """Names and classes in ``retry_on``."""
    if retry_on is None:
        return "", ()
    items: Any = retry_on
    if isinstance(retry_on, (str, type)) or not isinstance(retry_on, Iterable):
        items = [retry_on]
    names: List[str] = []
    classes: List[Type[BaseException]] = []
    for item in items:
        if isinstance(item, type) and issubclass(item, BaseException):
            classes.append(item)
        elif isinstance(item, str):
            names += [name.strip() for name in item.split(",") if name.strip()]
        else:
            raise TypeError(f"retry_on: expected names or classes of exceptions, got {item!r}")
    for name in names:
        if not _NAME.fullmatch(name):
            raise ValueError(f"retry_on: {name!r} is no name of a class")
    if not names and not classes:
        raise ValueError("retry_on: names no exception; for none at all, max_retries=0")
    return ",".join(names), tuple(classes)


class _Caller:
    """Calls of one function, as Rust counts them, and what this side knows of them."""

    def __init__(
        self,
        name: str,
        policy: RetryPolicy,
        breaker: Optional[CircuitBreaker],
        on_event: Optional[Callable[[CallEvent], object]],
        clock: Optional[Callable[[], float]],
        signs: bool = True,
    ) -> None:
        names, self._classes = _transient(policy.retry_on)
        # Classes take the place of the usual ones, too.
        self._only_classes = bool(self._classes) and not names
        self.name = name
        self._breaker = breaker
        self._on_event = on_event
        self._clock = clock
        self._signs = signs
        self._native = _native.Caller(
            policy.max_retries, policy.initial_backoff, policy.backoff_multiplier, policy.max_backoff,
            policy.deadline, names, None if breaker is None else breaker._native)

    def _now(self) -> Optional[float]:
        return None if self._clock is None else self._clock()

    def metrics(self) -> Dict[str, Any]:
        fields: Dict[str, Any] = json.loads(self._native.metrics(self.name, _KIND))
        return fields

    def begin(self) -> _native.Work:
        now = self._now()
        work, change = self._native.begin(now)
        if change is not None:
            self._tell_change(change)
        if work is None:
            breaker = cast(CircuitBreaker, self._breaker)._native
            raise CircuitOpenError(
                self.name, breaker.retry_after(now), breaker.failures, self._native.last_error)
        return work

    def succeeded(self, work: _native.Work) -> None:
        change = work.succeeded()
        if change is not None:
            self._tell_change(change)

    def failed(self, work: _native.Work, error: Exception) -> Optional[float]:
        """The wait before the next attempt; ``None`` where ``error`` is to be raised."""
        fault = _faults.fault(error)
        transient = self._is_transient(fault, error)
        text = f"{_faults.name_of(error)}: {fault['message']}"
        attempt, limit, elapsed, wait, reason, change = work.failed(text, transient, self._now())
        if reason is not None and self._signs:
            _sign(error, RetryInfo(attempt, limit, elapsed, reason))
        if self._on_event is not None:
            self._tell_failure(error, attempt, limit, transient, "raise" if wait is None else "retry")
        if change is not None:
            self._tell_change(change)
        return wait

    def _is_transient(self, fault: Dict[str, Any], error: Exception) -> bool:
        if fault["retryable"] is None and self._classes:
            if isinstance(error, self._classes):
                return True
            if self._only_classes:
                return False
        return self._native.is_transient(
            fault["types"], fault["message"], fault["retryable"], fault["status"])

    def _tell_failure(
        self, error: Exception, attempt: int, limit: int, transient: bool, action: str
    ) -> None:
        said = _faults.raised(error)
        assert self._on_event is not None
        self._on_event(NodeFailure(
            element=self.name, attempt=attempt, max_attempts=limit, retryable=transient,
            exception=said["exception"], message=said["message"], traceback=said["traceback"],
            file=said["file"] or "", line=said["line"] or 0, action=action,
            timestamp=None, stream_time=None, running_time=None, duration=None))

    def _tell_change(self, change: Tuple[str, str, int]) -> None:
        if self._on_event is not None:
            previous, state, failures = change
            self._on_event(BreakerChange(
                element=self.name, state=state, previous=previous, consecutive_failures=failures,
                timestamp=None, stream_time=None, running_time=None, duration=None))


_REASONS = {
    "permanent": "the failure is permanent",
    "exhausted": "all retries are used up",
    "deadline": "the next attempt would start after the deadline",
}


def _sign(error: Exception, info: RetryInfo) -> None:
    """Has an exception tell of the attempts, as far as it lets itself be written to."""
    with contextlib.suppress(Exception):
        setattr(error, "retry_info", info)
    if info.attempts == 1 and info.reason != "deadline":
        return
    attempts = f"{info.attempts} attempt" + ("s" if info.attempts > 1 else "")
    note = f"gstrustaudio.retry gave up after {attempts} in {info.elapsed:.3g} s: {_REASONS[info.reason]}"
    with contextlib.suppress(Exception):
        # Python 3.10 has no add_note.
        notes = getattr(error, "__notes__", None)
        setattr(error, "__notes__", [*(notes or []), note])


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None))


def _guard(
    function: Callable[..., Any], caller: _Caller, sleep: Optional[Callable[[float], Any]]
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
    caller: _Caller,
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
                await _slept(sleep(wait))
                work.again()
        finally:
            work.abandon()

    return guarded


async def _slept(pause: Any) -> None:
    """``sleep`` may be one that blocks, or that does nothing, as in a test."""
    if inspect.isawaitable(pause):
        await pause


def _decorated(
    function: Any, name: Optional[str], make: Callable[[str], _Caller],
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


class Attempt:
    """One attempt at a block: ``for attempt in retry(policy): with attempt: …``.

    Attributes
    ----------
    number : int
        From 1.
    """

    def __init__(self, caller: _Caller, work: _native.Work) -> None:
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

    def __init__(self, caller: _Caller, sleep: Optional[Callable[[float], Any]]) -> None:
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
                await _slept((self._sleep or asyncio.sleep)(wait))
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

    def _caller(self, name: str) -> _Caller:
        return _Caller(name, self.policy, self.breaker, self._on_event, self._clock)

    def __call__(self, function: Callable[P, R]) -> Guarded[P, R]:
        return cast("Guarded[P, R]", _decorated(function, self._name, self._caller, self._sleep))

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
            raise ValueError(f"threshold: expected 0 or more, got {threshold}")
        self.threshold = threshold
        self.cooldown = _check("cooldown", cooldown, 0.0)
        self._native = _native.Breaker(threshold, self.cooldown)
        self._name = name
        self._on_event = on_event
        self._clock = clock
        self._blocks = self._caller(name or "block")

    def _caller(self, name: str) -> _Caller:
        return _Caller(name, RetryPolicy(max_retries=0), self, self._on_event, self._clock, signs=False)

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
            self._blocks._tell_change(change)

    def __call__(self, function: Callable[P, R]) -> Guarded[P, R]:
        return cast("Guarded[P, R]", _decorated(function, self._name, self._caller, None))

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
