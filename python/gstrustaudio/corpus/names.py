# SPDX-License-Identifier: MIT
"""How files are called: keys, identifiers, and texts that show any bytes.

A key is an absolute path or a URL as Python holds names of files: bytes that are not UTF-8 are lone
surrogates (``os.fsdecode``). JSON keeps them as ``\\udcXX``, which Python opens again as it is."""
from __future__ import annotations

import hashlib
import os
import re
from urllib.parse import urlsplit

_URL = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]*://")
HTTP = ("http://", "https://")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
#: What `file_id` gives, and an ending.
_IDENTIFIER = re.compile(r"[A-Za-z0-9._-]{1,80}-[0-9a-f]{14}([0-9a-f]{2})(\.[a-z]+)*")


def is_url(name: str) -> bool:
    """Whether ``name`` is for fsspec rather than the file system."""
    return _URL.match(name) is not None


def ending(name: str) -> str:
    """The ending of a name, as in ``.wav``, in small letters; of a URL of http that of its path."""
    if name.startswith(HTTP):
        name = urlsplit(name).path
    return os.path.splitext(name)[1].lower()


def key_of(name: str) -> str:
    """The key of a file as the user names it."""
    return name if is_url(name) else os.path.abspath(name)


def key_bytes(key: str) -> bytes:
    """The bytes of a key: what sorting goes by, and what the file system calls it."""
    return os.fsencode(key)


def printable(key: str) -> str:
    """``key`` as valid Unicode: bytes that are not UTF-8 are spelled out (``caf\\xe9``)."""
    return os.fsencode(key).decode("utf-8", "backslashreplace")


def is_unicode(key: str) -> bool:
    """Whether `printable` shows ``key`` as it is."""
    try:
        key.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def file_id(key: str) -> str:
    """A name for what comes out of ``key``: safe in file systems, URLs and Kaldi's tables, and of this key
    alone, wherever and in whatever order it is worked on."""
    stem = os.path.splitext(os.path.basename(key))[0]
    stem = _UNSAFE.sub("_", stem.encode("ascii", "replace").decode()).strip("._")[:80] or "audio"
    return f"{stem}-{hashlib.sha256(key_bytes(key)).hexdigest()[:16]}"


def shard(identifier: str) -> str:
    """A folder for ``identifier`` among 256, so that none gets too many entries."""
    return identifier[-2:]


def is_audio_of_a_run(name: str, folder: str) -> bool:
    """Whether ``name`` in the `shard` ``folder`` is called as a run calls the audio of a file, or the folder with its
    segments."""
    found = _IDENTIFIER.fullmatch(name)
    return found is not None and found.group(1) == folder
