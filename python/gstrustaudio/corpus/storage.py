# SPDX-License-Identifier: MIT
"""Files that are not on this machine, through fsspec: s3, gs, http and what else it knows."""
from __future__ import annotations

import errno
import os
import shutil
import tempfile
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any, Callable, Iterator, TextIO, Tuple, cast

from .names import HTTP, is_url

#: Packages behind protocols, as pip calls them.
_PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "http": "aiohttp", "https": "aiohttp",
             "az": "adlfs", "abfs": "adlfs"}

#: Storages without folders; to make one there may make a bucket of a name that was mistyped.
_OBJECTS = ("s3", "s3a", "gs", "gcs", "az", "abfs")


class StorageError(Exception):
    """Remote storage cannot be used; the text says why and how to mend it."""


def _file_system(url: str) -> Tuple[Any, str]:
    protocol = url.split("://")[0]
    try:
        core = import_module("fsspec.core")
        return cast(Tuple[Any, str], core.url_to_fs(url))
    except ImportError as e:
        packages = f"fsspec {_PACKAGES.get(protocol, '')}".rstrip()
        raise StorageError(f"{url}: {protocol}:// needs a package: pip install {packages}") from e
    except ValueError as e:
        raise StorageError(f"{url}: {e}") from e


def open_url(name: str) -> TextIO:
    """A text file, here or there, without the byte order mark that spreadsheets put first; bytes that are no UTF-8
    are kept."""
    if not is_url(name):
        return open(name, encoding="utf-8-sig", errors="surrogateescape", newline="")
    fs, path = _file_system(name)
    return cast(TextIO, fs.open(path, "r", encoding="utf-8-sig", errors="surrogateescape", newline=""))


def list_url(url: str, extensions: frozenset[str]) -> Iterator[Tuple[str, int, int]]:
    """URLs, sizes and times of change (ns since 1970) of the files that ``url`` names: itself, what a glob matches, or
    what lies below it and has one of ``extensions``. A URL of http is always taken as it is, sizes and times unknown."""
    if url.startswith(HTTP):
        yield url, 0, 0
        return
    fs, path = _file_system(url)
    try:
        if any(c in path for c in "*?["):
            found = fs.glob(path, detail=True)
        elif fs.isfile(path):
            found = {path: fs.info(path)}
        else:
            found = {p: i for p, i in fs.find(path, detail=True).items()
                     if os.path.splitext(p)[1][1:].lower() in extensions}
    except Exception as e:  # Each storage has errors of its own.
        raise StorageError(f"{url}: {type(e).__name__}: {e}") from e
    if not found:
        raise StorageError(f"{url}: there is no such file or folder, or nothing in it")
    for name in sorted(found):
        if found[name].get("type") != "directory":
            yield fs.unstrip_protocol(name), int(found[name].get("size") or 0), _changed(found[name])


def _changed(info: Any) -> int:
    """When a file has changed, ns since 1970: storages call it differently. 0 where they do not say."""
    for name in ("LastModified", "last_modified", "mtime", "updated", "created"):
        value = info.get(name)
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value.replace("Z", "+00:00"))
            except ValueError:
                continue
        if isinstance(value, datetime):
            value = value.timestamp()
        if isinstance(value, (int, float)):
            return round(value * 1e6) * 1000
    return 0


def _callback(progress: Callable[[], None]) -> Any:
    """Has fsspec say that bytes have come."""

    class Told(import_module("fsspec.callbacks").Callback):  # type: ignore[misc]
        def call(self, *_: Any, **__: Any) -> None:
            progress()

    return Told()


def fetch(url: str, path: str, progress: Callable[[], None]) -> None:
    """Copies ``url`` to the local file ``path``; ``progress`` is told while bytes come. Raises FileNotFoundError, or
    `StorageError` for the rest."""
    fs, name = _file_system(url)
    try:
        fs.get_file(name, path, callback=_callback(progress))
    except (FileNotFoundError, StorageError):
        raise
    except Exception as e:
        if isinstance(e, OSError) and e.errno == errno.ENOSPC:
            raise
        raise StorageError(f"{type(e).__name__}: {e}") from e


def put(path: str, url: str, progress: Callable[[], None] = lambda: None) -> None:
    """Copies the local file ``path`` to ``url``, which appears whole or not at all where the storage has it so
    (objects)."""
    fs, name = _file_system(url)
    try:
        if url.split("://")[0] not in _OBJECTS:
            fs.makedirs(name.rsplit("/", 1)[0], exist_ok=True)
        fs.put_file(path, name, callback=_callback(progress))
    except Exception as e:
        raise StorageError(f"{url}: cannot be written: {type(e).__name__}: {e}") from e


def probe(out: str) -> None:
    """Raises `StorageError` where nothing can be written to the folder or URL ``out``: better now than after hours."""
    if not is_url(out):
        try:
            os.makedirs(out, exist_ok=True)
            with tempfile.TemporaryFile(dir=out):
                return
        except OSError as e:
            raise StorageError(f"{out}: results cannot be written there: {e.strerror}; give another --out") from e
    name = join(out, ".gstrustaudio-can-write")
    with tempfile.NamedTemporaryFile() as nothing:
        put(nothing.name, name)
    fs, path = _file_system(name)
    try:
        fs.rm_file(path)
    except Exception:
        # Who may write need not be allowed to remove.
        pass


def exists(name: str) -> bool:
    """Whether there is a file, a folder or a URL of that name."""
    if not is_url(name):
        return os.path.exists(name)
    fs, path = _file_system(name)
    try:
        return bool(fs.exists(path))
    except Exception as e:
        raise StorageError(f"{name}: cannot be looked at: {type(e).__name__}: {e}") from e


def place(made: str, final: str) -> None:
    """Moves a file, or a folder that is not there yet, to its place, where it appears whole or not at all: also from
    another file system, through a temporary name beside it."""
    try:
        os.replace(made, final)
        return
    except OSError as e:
        if e.errno != errno.EXDEV:
            raise
    part = final + ".part"
    if os.path.isdir(made):
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(made, part, copy_function=shutil.copyfile)
        os.rename(part, final)
        shutil.rmtree(made)
    else:
        shutil.copyfile(made, part)
        os.replace(part, final)
        os.unlink(made)


def remove(name: str) -> None:
    """Removes a file, or a URL, if it is there."""
    if not is_url(name):
        Path(name).unlink(missing_ok=True)
        return
    fs, path = _file_system(name)
    try:
        if fs.exists(path):
            fs.rm_file(path)
    except Exception as e:
        raise StorageError(f"{name}: cannot be removed: {type(e).__name__}: {e}") from e


def join(out: str, name: str) -> str:
    """``name`` below ``out``, which may be a URL."""
    return f"{out.rstrip('/')}/{name}" if is_url(out) else os.path.join(out, name)
