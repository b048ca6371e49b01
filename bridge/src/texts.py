"""What leaves Python as text: exceptions, and what nodes post.

One module with event_loop.py and node.py, which follow it.
"""

import enum
import json
import os
import re
import traceback

import numpy as np

# Frames of these files are left out of tracebacks.
_OWN = {__file__} if "__file__" in globals() else set()

class NodeError(Exception):
    """The node cannot work as it is configured; says where the fault is."""

    def __init__(self, message, file=None, line=None):
        super().__init__(message)
        self.file = file
        self.line = line


# What GStreamer takes for the name of a message or field.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9/_.:+-]*")


def clean(text):
    """`text` as valid Unicode: lone surrogates, as in names of files that are not UTF-8, are
    spelled out as on Python's own stderr."""
    return str.encode(text, "utf-8", "backslashreplace").decode("utf-8")


def posted(name, fields):
    """The fields of `ctx.post` as a JSON object; raises for what GStreamer cannot take."""
    for what, said in [("message", name), *(("field", key) for key in fields)]:
        if not isinstance(said, str):
            raise TypeError(f"the name of a {what} is text, not {_kind(said)}")
        if not _NAME.fullmatch(said):
            raise ValueError(f"{said!r} cannot be the name of a {what}: a letter of ASCII, then "
                             "letters, digits and /-_.:+")
    return json.dumps({key: _field(value) for key, value in fields.items()})


def _field(value):
    """A value as JSON has it. Text for what is no number of 64 bits and for what is nested, in
    JSON as Python reads it; an object stands for a number that JSON does not have."""
    value = _plain(value)
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if isinstance(value, float) and not np.isfinite(value):
        return {"double": repr(value)}
    if isinstance(value, int) and not -2**63 <= value < 2**64:
        return str(value)
    return value


def _plain(value):
    """`value` in the types of JSON: numpy's are those of Python, what has none is text."""
    if isinstance(value, dict):
        return {clean(str(k)): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic) and not isinstance(value, str):
        # A long double is its own item.
        value = float(value) if isinstance(value, np.floating) else value.item()
    if value is None or isinstance(value, bool):
        return value
    for kind in (int, float):
        if isinstance(value, kind):
            return kind(value)
    return clean(value if isinstance(value, str) else str(value))


def _kind(value):
    return f"an object of type {type(value).__name__}"


# Codes of gRPC that another attempt may not meet again, as the statuses of HTTP that they stand for.
_GRPC = {"UNAVAILABLE": 503, "RESOURCE_EXHAUSTED": 429, "DEADLINE_EXCEEDED": 504,
         "INTERNAL": 500, "UNKNOWN": 500}
# What AWS says with status 400.
_THROTTLED = re.compile(r"Throttl|RequestLimitExceeded|ProvisionedThroughputExceeded")


def _attempt(work, *arguments):
    """What `work` gives; None where it raises, as any attribute or method of an exception may."""
    try:
        return work(*arguments)
    except BaseException:
        return None


def _read(thing, name):
    return _attempt(getattr, thing, name)


def _status(error):
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


def _status_in(thing):
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


def _status_of_aws(response):
    code = _attempt(lambda: response["Error"]["Code"])
    if isinstance(code, str) and _THROTTLED.search(code):
        return 429
    status = _attempt(lambda: response["ResponseMetadata"]["HTTPStatusCode"])
    return status if isinstance(status, int) else None


def _qualified(kind):
    return f"{kind.__module__}.{kind.__qualname__}"


def _names(kind):
    """Names of a class and its bases, bare and with their module."""
    names = []
    for base in kind.__mro__[:-1]:
        names.append(base.__qualname__)
        if base.__module__ != "builtins":
            names.append(_qualified(base))
    return names


def describe(error, file=None):
    """A JSON object that says what was raised, where, and of what kind. Nothing that the exception
    itself does, such as raising again when it is asked for its text, keeps the rest from being
    said."""
    kind = type(error)
    names = _names(kind)
    # What urllib.error.URLError stands for.
    reason = _read(error, "reason")
    if isinstance(reason, BaseException):
        names += _names(type(reason))
    own = kind.__module__ in ("builtins", __name__)
    name = clean(kind.__qualname__ if own else _qualified(kind))
    message = _message(error)
    # Not by the exception's own attribute, which may be anything.
    stack = BaseException.__traceback__.__get__(error)
    frames = [(frame.f_code.co_filename, line, frame.f_code.co_name)
              for frame, line in traceback.walk_tb(stack) if frame.f_code.co_filename not in _OWN]
    found, line = _place(error, frames, file)
    message += _mend(kind, message, found)
    status = _attempt(_status, error) if issubclass(kind, Exception) else None
    retryable = _read(error, "retryable")
    return json.dumps({
        "exception": name,
        "types": [clean(n) for n in names],
        "message": message,
        "traceback": clean(_attempt(_format, error) or _bare(frames, name, message)),
        "file": found,
        "line": line,
        "retryable": retryable if type(retryable) is bool else None,
        "status": status,
        "configuration": issubclass(kind, NodeError),
        "timed-out": issubclass(kind, CallTimeout),
        "interrupted": issubclass(kind, Interrupted),
    })


def _message(error):
    try:
        message = clean(str(error))
    except BaseException as inner:
        return f"(its text raised {type(inner).__name__})"
    return message


def _mend(kind, message, file):
    """What helps, where Python's own text does not say."""
    if issubclass(kind, ValueError) and "read-only" in message:
        return " (the buffer is shared: set in_place = True on the node to get a copy to write)"
    if issubclass(kind, ImportError) and "no known parent package" in message and file:
        root, name = _as_part_of_package(file)
        return (" (a file that is named by its path is part of no package: set "
                f"python-path={root} and module={name})")
    return ""


def _as_part_of_package(file):
    """The folder above the outermost package that `file` is in, and its name from there."""
    root, base = os.path.split(file)
    parts = [os.path.splitext(base)[0]]
    while True:
        root, folder = os.path.split(root)
        parts.insert(0, folder)
        if not os.path.exists(os.path.join(root, "__init__.py")):
            return root, ".".join(parts)


def _place(error, frames, file):
    """File and line of an exception: those that it names itself, else the last of its frames that
    is in `file`."""
    found = line = None
    if issubclass(type(error), NodeError):
        found, line = error.file, error.line
    elif issubclass(type(error), SyntaxError):
        found, line = _read(error, "filename"), _read(error, "lineno")
    if not isinstance(found, str) and frames:
        inside = [f for f in frames if clean(f[0]) == file]
        found, line, _ = (inside or frames)[-1]
    found = clean(found) if isinstance(found, str) else file
    return found, line if isinstance(line, int) else None


def _format(error):
    whole = traceback.TracebackException.from_exception(error)
    part, seen = whole, set()
    while part is not None and id(part) not in seen:
        seen.add(id(part))
        part.stack = traceback.StackSummary.from_list(
            [f for f in part.stack if f.filename not in _OWN])
        part = part.__cause__ or part.__context__
    return "".join(whole.format())


def _bare(frames, name, message):
    """As `_format`, of what needs nothing of the exception."""
    lines = [f'  File "{file}", line {line}, in {function}\n' for file, line, function in frames]
    return "".join(["Traceback (most recent call last):\n", *lines, f"{name}: {message}\n"])
