# SPDX-License-Identifier: MIT
"""Calls of one function, as Rust counts them and decides on them."""
from __future__ import annotations

import contextlib
import json
from typing import Any, Callable, Dict, Optional, Tuple, Type, Union

from .. import _faults, _native
from ..messages import BreakerChange, NodeFailure
from .policy import RetryInfo, RetryPolicy, transient

#: What ``on_event`` is called with.
CallEvent = Union[NodeFailure, BreakerChange]

_KIND = "python-function"


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

    # What messages call it, and pickles: where it is imported from.
    __module__ = __package__

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


class Caller:
    """Calls of one function, as Rust counts them, and what this side knows of them."""

    def __init__(
        self,
        name: str,
        policy: RetryPolicy,
        breaker: Optional[_native.Breaker],
        on_event: Optional[Callable[[CallEvent], object]],
        clock: Optional[Callable[[], float]],
        signs: bool = True,
    ) -> None:
        names, self._classes = transient(policy.retry_on)
        # Classes take the place of the usual ones, too.
        self._only_classes = bool(self._classes) and not names
        self.name = name
        self._breaker = breaker
        self._on_event = on_event
        self._clock = clock
        self._signs = signs
        self._native = _native.Caller(
            policy.max_retries,
            (policy.initial_backoff, policy.backoff_multiplier, policy.max_backoff, policy.backoff_jitter),
            policy.deadline, names, breaker)

    def _now(self) -> Optional[float]:
        return None if self._clock is None else self._clock()

    def metrics(self) -> Dict[str, Any]:
        fields: Dict[str, Any] = json.loads(self._native.metrics(self.name, _KIND))
        return fields

    def begin(self) -> _native.Work:
        now = self._now()
        work, change = self._native.begin(now)
        if change is not None:
            self.tell_change(change)
        if work is None:
            breaker = self._breaker
            assert breaker is not None
            raise CircuitOpenError(
                self.name, breaker.retry_after(now), breaker.failures, self._native.last_error)
        return work

    def succeeded(self, work: _native.Work) -> None:
        change = work.succeeded()
        if change is not None:
            self.tell_change(change)

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
            self.tell_change(change)
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

    def tell_change(self, change: Tuple[str, str, int]) -> None:
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
