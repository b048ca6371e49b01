# SPDX-License-Identifier: MIT
"""What an exception says of itself: what retrying is decided on, and what is told of it.

Nothing that an exception itself does, such as raising again when it is asked for its text, keeps the rest
from being said. Needs nothing but Python: nodes of the element pypipelinenode are described by it,
and the package gstrustaudio has it as `_faults`.
"""

import enum
import os
import re
import traceback
from typing import Any, Callable, Dict, List, Optional, Set, Tuple

# Frames of these files are left out of tracebacks.
_OWN: Set[str] = {__file__} if "__file__" in globals() else set()
# Codes of gRPC that another attempt may not meet again, as the statuses of HTTP that they stand for.
_GRPC = {"UNAVAILABLE": 503, "RESOURCE_EXHAUSTED": 429, "DEADLINE_EXCEEDED": 504,
         "INTERNAL": 500, "UNKNOWN": 500}
# What AWS says with status 400.
_THROTTLED = re.compile(r"Throttl|RequestLimitExceeded|ProvisionedThroughputExceeded")

_Frame = Tuple[str, int, str]


def clean(text: str) -> str:
    """`text` as valid Unicode: lone surrogates, as in names of files that are not UTF-8, are
    spelled out as on Python's own stderr."""
    return str.encode(text, "utf-8", "backslashreplace").decode("utf-8")


def _attempt(work: Callable[..., Any], *arguments: Any) -> Any:
    """What `work` gives; None where it raises, as any attribute or method of an exception may."""
    try:
        return work(*arguments)
    except BaseException:
        return None


def _read(thing: Any, name: str) -> Any:
    return _attempt(getattr, thing, name)


def _status(error: BaseException) -> Optional[int]:
    """The HTTP status in an exception, wherever its client keeps it: in itself, or in the response
    that it belongs to."""
    found = _status_in(error)
    if found is not None:
        return found
    response = _read(error, "response")
    if isinstance(response, dict):
        return _status_of_aws(response)
    # A response of `requests` is false where its status is an error.
    return None if response is None else _status_in(response)


def _status_in(thing: Any) -> Optional[int]:
    for name in ("status_code", "status", "code"):
        value = _read(thing, name)
        if name == "code" and callable(value):
            # gRPC; there it is a method.
            value = _attempt(value)
        if isinstance(value, int) and 100 <= value <= 599:
            return int(value)
        if isinstance(value, enum.Enum) and value.name in _GRPC:
            return _GRPC[value.name]
    return None


def _status_of_aws(response: Dict[Any, Any]) -> Optional[int]:
    code = _attempt(lambda: response["Error"]["Code"])
    if isinstance(code, str) and _THROTTLED.search(code):
        return 429
    status = _attempt(lambda: response["ResponseMetadata"]["HTTPStatusCode"])
    return status if isinstance(status, int) else None


def _qualified(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _names(kind: type) -> List[str]:
    """Names of a class and its bases, bare and with their module."""
    names = []
    for base in kind.__mro__[:-1]:
        names.append(base.__qualname__)
        if base.__module__ != "builtins":
            names.append(_qualified(base))
    return names


def fault(error: BaseException) -> Dict[str, Any]:
    """What retrying is decided on."""
    kind = type(error)
    names = _names(kind)
    # What urllib.error.URLError stands for.
    reason = _read(error, "reason")
    if isinstance(reason, BaseException):
        names += _names(type(reason))
    retryable = _read(error, "retryable")
    return {
        "types": [clean(n) for n in names],
        "message": _message(error),
        "retryable": retryable if type(retryable) is bool else None,
        "status": _attempt(_status, error) if issubclass(kind, Exception) else None,
    }


def name_of(error: BaseException) -> str:
    """The exception's class, with its module unless it is a builtin."""
    kind = type(error)
    own = kind.__module__ in ("builtins", __name__)
    return clean(kind.__qualname__ if own else _qualified(kind))


def raised(error: BaseException, file: Optional[str] = None,
           place: Tuple[Any, Any] = (None, None)) -> Dict[str, Any]:
    """What was raised and where: at `place`, where that is known, else in the last frame that is in
    `file`."""
    # Not by the exception's own attribute, which may be anything.
    stack = vars(BaseException)["__traceback__"].__get__(error)
    frames = [(frame.f_code.co_filename, line, frame.f_code.co_name)
              for frame, line in traceback.walk_tb(stack) if frame.f_code.co_filename not in _OWN]
    name, message = name_of(error), _message(error)
    found, line = _place(error, frames, file, place)
    return {
        "exception": name,
        "message": message,
        "traceback": clean(_attempt(_format, error) or _bare(frames, name, message)),
        "file": found,
        "line": line,
    }


def _message(error: BaseException) -> str:
    try:
        message = clean(str(error))
    except BaseException as inner:
        return f"(its text raised {type(inner).__name__})"
    return message


def _place(error: BaseException, frames: List[_Frame], file: Optional[str],
           place: Tuple[Any, Any]) -> Tuple[Optional[str], Optional[int]]:
    found, line = place
    if issubclass(type(error), SyntaxError):
        found, line = _read(error, "filename"), _read(error, "lineno")
    if not isinstance(found, str) and frames:
        inside = [f for f in frames if clean(f[0]) == file]
        found, line, _ = (inside or frames)[-1]
    found = clean(found) if isinstance(found, str) else file
    return found, line if isinstance(line, int) else None


def _format(error: BaseException) -> str:
    whole = traceback.TracebackException.from_exception(error)
    part: Optional[traceback.TracebackException] = whole
    seen = set()
    while part is not None and id(part) not in seen:
        seen.add(id(part))
        part.stack = traceback.StackSummary.from_list(
            [f for f in part.stack if f.filename not in _OWN])
        part = part.__cause__ or part.__context__
    return "".join(whole.format())


def _bare(frames: List[_Frame], name: str, message: str) -> str:
    """As `_format`, of what needs nothing of the exception."""
    lines = [f'  File "{file}", line {line}, in {function}\n' for file, line, function in frames]
    return "".join(["Traceback (most recent call last):\n", *lines, f"{name}: {message}\n"])
