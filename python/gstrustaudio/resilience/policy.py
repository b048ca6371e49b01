# SPDX-License-Identifier: MIT
"""How often and how long to try, and how it ended."""
from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Iterable, List, Optional, Tuple, Type, Union

#: What ``retry_on`` takes: names of exceptions, classes of exceptions, or several of both.
RetryOn = Union[str, Type[BaseException], Iterable[Union[str, Type[BaseException]]]]

_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


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
    backoff_jitter : float
        Most of a wait that is left off at random, from 0 to 1 of it, so that callers that failed together do
        not come back together.
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
    backoff_jitter: float = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.max_retries, bool) or not isinstance(self.max_retries, int):
            raise TypeError(f"max_retries: expected an int, got {self.max_retries!r}")
        if not 0 <= self.max_retries < 2**32 - 1:
            raise ValueError(f"max_retries: expected 0 to {2**32 - 2}, got {self.max_retries}")
        number("initial_backoff", self.initial_backoff, 0.0)
        number("backoff_multiplier", self.backoff_multiplier, 1.0)
        number("max_backoff", self.max_backoff, 0.0)
        if number("backoff_jitter", self.backoff_jitter, 0.0) > 1.0:
            raise ValueError(f"backoff_jitter: expected a number from 0 to 1, got {self.backoff_jitter!r}")
        if self.deadline is not None:
            number("deadline", self.deadline, 0.0)
        transient(self.retry_on)


def number(name: str, value: object, least: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name}: expected a number, got {value!r}")
    if not least <= value <= 1e9:
        raise ValueError(f"{name}: expected a number from {least:g} to 1e9, got {value!r}")
    return float(value)


def transient(retry_on: Optional[RetryOn]) -> Tuple[str, Tuple[Type[BaseException], ...]]:
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
