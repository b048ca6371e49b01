# SPDX-License-Identifier: MIT
"""What leaves Python as text: exceptions, and what nodes post.

One module with faults.py, which goes before it, and event_loop.py and node.py,
which follow it.
"""

import json
import os
import re

import numpy as np


class NodeError(Exception):
    """The node cannot work as it is configured; says where the fault is."""

    def __init__(self, message, file=None, line=None):
        super().__init__(message)
        self.file = file
        self.line = line


# What GStreamer takes for the name of a message or field.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9/_.:+-]*")


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


def describe(error, file=None):
    """A JSON object that says what was raised, where, and of what kind."""
    kind = type(error)
    place = (error.file, error.line) if issubclass(kind, NodeError) else (None, None)
    said = raised(error, file, place)
    said["message"] += _mend(kind, said["message"], said["file"])
    return json.dumps({
        **fault(error),
        **said,
        "configuration": issubclass(kind, NodeError),
        "timed-out": issubclass(kind, CallTimeout),
        "interrupted": issubclass(kind, Interrupted),
    })


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
