# SPDX-License-Identifier: MIT
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
from __future__ import annotations

from .. import _faults
from . import breaker, calls, guard, retries
from .breaker import CircuitBreaker
from .calls import CallEvent, CircuitOpenError
from .guard import Guarded
from .policy import RetryInfo, RetryOn, RetryPolicy
from .retries import Attempt, Retry, retry

__all__ = [
    "Attempt", "CallEvent", "CircuitBreaker", "CircuitOpenError", "Guarded", "Retry", "RetryInfo", "RetryOn", "RetryPolicy",
    "retry",
]

# Frames of these are left out of tracebacks.
_faults._OWN.update(str(module.__file__) for module in (breaker, calls, guard, retries))
