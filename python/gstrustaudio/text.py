# SPDX-License-Identifier: MIT
"""Reads what ``gst-launch-1.0 -m`` prints, with nothing but Python."""
from __future__ import annotations

import re
from typing import Any, Dict, Iterable, Optional, Tuple

from .messages import MESSAGES, event_from_fields
from .record import Failure, Run

_FIELD = re.compile(r"\s*([A-Za-z][\w./:+-]*)\s*=\s*(?:\(([\w-]+)\)\s*)?")
_INTEGERS = {"int", "uint", "int64", "uint64", "gint", "guint", "gint64", "guint64", "long", "ulong"}
_ESCAPE = re.compile(rb"\\([0-3][0-7]{2}|.)", re.DOTALL)


class TextError(ValueError):
    """Text that is no serialized structure."""


def _unescape(quoted: str) -> str:
    """Undoes ``gst_string_wrap``: ``\\ooo`` is a byte of UTF-8, ``\\c`` the character itself."""

    def one(match: "re.Match[bytes]") -> bytes:
        found = match.group(1)
        return bytes([int(found, 8)]) if len(found) == 3 else found

    return _ESCAPE.sub(one, quoted.encode("utf-8", "surrogateescape")).decode("utf-8", "replace")


def _raw(text: str, at: int) -> Tuple[str, int]:
    """The unquoted value at ``at`` and where it ends: at a ``,`` or ``;`` outside of brackets."""
    start, depth = at, 0
    while at < len(text):
        c = text[at]
        if c == '"':
            at = _quoted_end(text, at)
            continue
        if c in "[{<(":
            depth += 1
        elif c in "]}>)":
            depth -= 1
        elif depth <= 0 and c in ",;":
            break
        at += 1
    return text[start:at].strip(), at


def _quoted_end(text: str, at: int) -> int:
    """Where the string that opens at ``at`` is over."""
    at += 1
    while at < len(text) and text[at] != '"':
        at += 2 if text[at] == "\\" else 1
    if at >= len(text):
        raise TextError("a string is not closed")
    return at + 1


def _value(kind: str, raw: str) -> Any:
    """Value of a type that our messages have; the text itself for others."""
    if kind == "boolean":
        return raw.lower() in ("true", "yes", "t", "1")
    if kind in ("double", "float", "gdouble", "gfloat"):
        return float(raw)
    if kind in _INTEGERS:
        return int(raw, 0)
    if kind == "string" and raw == "NULL":
        return None
    return raw


def parse_structure(text: str) -> Tuple[str, Dict[str, Any]]:
    """Name and fields of a serialized ``GstStructure``; values of types other than numbers,
    booleans and strings stay text."""
    match = re.match(r"\s*([A-Za-z][\w./:+-]*)\s*([,;]|$)", text)
    if not match:
        raise TextError(f"no structure: {text[:60]!r}")
    name, at = match.group(1), match.end(1)
    fields: Dict[str, Any] = {}
    while at < len(text) and text[at] == ",":
        field = _FIELD.match(text, at + 1)
        if not field:
            raise TextError(f"{name}: no field at {text[at:at + 40]!r}")
        at = field.end()
        if text[at : at + 1] == '"':
            end = _quoted_end(text, at)
            value: Any = _unescape(text[at + 1 : end - 1])
            at = end
        else:
            raw, at = _raw(text, at)
            try:
                value = _value(field.group(2) or "", raw)
            except ValueError as e:
                raise TextError(f"{name}: field `{field.group(1)}`: {e}") from e
        fields[field.group(1)] = value
    return name, fields


# gst-launch is translated; the type of a message and its structure are not. Error texts are read as
# it prints them in English.
_MESSAGE = re.compile(r'#\d+ [^"]*"([^"]*)" \(([\w-]+)\): (.*)$')
_ERROR = re.compile(r"^ERROR: from element (\S+): (.*)$")
_ELAPSED = re.compile(r"^[^/#]*\b(\d+):(\d\d):(\d\d)\.(\d{9})\s*$")
_AT = re.compile(r"\(\): (/.+?):?$", re.MULTILINE)
_NO_DEBUG = re.compile(r"^(ERROR|WARNING|INFO|Got message|Execution|Setting|Freeing|Interrupt)\b")


def _path(lies: str) -> str:
    """``/GstPipeline:p/GstBin:b/GstRustVad:vad`` as messages have it: ``b/vad``."""
    names = [part.partition(":")[2] for part in lies.split("/")[1:]]
    return "/".join(names[1:] if lies.startswith("/GstPipeline:") and len(names) > 1 else names)


def _element_event(run: Run, text: str, element: str) -> None:
    try:
        name, fields = parse_structure(text)
    except TextError:
        # Other elements' messages may hold what this module cannot read; ours may not.
        if text.partition(",")[0] in MESSAGES:
            raise
        return
    event = event_from_fields(name, fields, element)
    if event is not None:
        run.add(event)


def read_launch_output(lines: Iterable[str]) -> Run:
    """The run that ``gst-launch-1.0 -m`` printed. Where its standard error is in ``lines`` too, the
    texts of errors come from there."""
    run = Run()
    errors: Dict[str, Tuple[str, str]] = {}
    debugged: Optional[str] = None
    for line in lines:
        line = line.rstrip("\r\n")
        message = _MESSAGE.search(line)
        error = _ERROR.match(line)
        elapsed = _ELAPSED.match(line)
        if message:
            debugged = None
            element, kind, text = message.groups()
            if kind == "element":
                _element_event(run, text, element)
            elif kind == "error":
                debug = str(parse_structure(text)[1].get("debug") or "")
                at = _AT.search(debug)
                path = _path(at.group(1)) if at else element
                errors[path] = (errors.get(path, ("", ""))[0], debug)
            elif kind == "eos":
                run.outcome = "finished"
        elif error:
            debugged = _path(error.group(1))
            errors[debugged] = (error.group(2), "")
        elif elapsed:
            h, m, s, ns = (int(g) for g in elapsed.groups())
            run.total_time = ((h * 60 + m) * 60 + s) * 10**9 + ns
        elif _NO_DEBUG.match(line):
            debugged = None
        elif debugged and line != "Additional debug info:":
            text, debug = errors[debugged]
            errors[debugged] = (text, f"{debug}\n{line}" if debug else line)
    for path, (text, debug) in errors.items():
        run.errors.append(Failure(path.rpartition("/")[2], text or debug.partition("\n")[0], debug, path))
    if errors:
        run.outcome = "failed"
    run.close()
    return run
