# SPDX-License-Identifier: MIT
"""Which files a run is about: what the user names, made into keys."""
from __future__ import annotations

import codecs
import csv
import glob
import json
import os
import stat
import sys
from typing import Any, Collection, Iterable, Iterator, NamedTuple, Sequence, TextIO
from urllib.parse import urljoin

from .names import HTTP, ending, is_audio_of_a_run, is_url, key_of
from .storage import list_url, open_url

#: Endings by which a folder's files are taken; files that are named one by one are always taken.
EXTENSIONS = frozenset(
    "wav wave flac mp3 mp2 ogg oga opus spx m4a m4b aac mp4 m4v mkv mka webm mov avi wma asf aif aiff aifc au snd caf "
    "amr 3gp w64 rf64 wv ape tta ts mts".split())
#: Columns or keys of a manifest that hold the path, first come first served.
PATH_FIELDS = ("path", "audio_filepath", "audio_path", "file", "filename", "file_name", "wav", "audio", "uri", "url")
#: A URL of a file here.
_LOCAL = "file://"
#: Characters in a field of a table.
_LONGEST_FIELD = 2**31 - 1
_MANIFESTS = (".txt", ".lst", ".list", ".csv", ".tsv", ".jsonl", ".json", ".ndjson", ".parquet", ".scp")


class InputError(Exception):
    """What the user named does not exist, or is no manifest."""


class Found(NamedTuple):
    """A file of the corpus."""

    key: str
    #: Bytes, and ns since 1970; 0 where they are not known.
    size: int = 0
    modified: int = 0


def find(
    inputs: Sequence[str], extensions: frozenset[str] = EXTENSIONS, without: Collection[str] = (), out: str = ""
) -> Iterator[Found]:
    """All files that ``inputs`` name, in the order in which they come: files, folders (with all below them but what runs
    wrote there, the one into the folder ``out`` among them, and the folders ``without``), globs, manifests and URLs. The
    same file may come twice."""
    left_out = frozenset(os.path.realpath(folder) for folder in without)
    own = os.path.realpath(os.path.join(out, "audio")) if out else ""
    for name in inputs:
        yield from _one(name, extensions, left_out, own)


def _one(name: str, extensions: frozenset[str], without: frozenset[str], own: str) -> Iterator[Found]:
    if name.startswith(_LOCAL):
        name = name[len(_LOCAL):]
    if name == "-":
        yield from _standard_input()
    elif is_url(name):
        if ending(name) in _MANIFESTS:
            yield from _manifest(name, "")
        else:
            yield from (Found(*found) for found in list_url(name, extensions))
    elif os.path.isdir(name):
        yield from _folder(name, extensions, without, own)
    elif ending(name) in _MANIFESTS and os.path.isfile(name):
        yield from _manifest(name, os.path.dirname(os.path.abspath(name)))
    elif os.path.lexists(name):
        yield _file(name)
    elif glob.has_magic(name):
        found = sorted(glob.iglob(name, recursive=True), key=os.fsencode)
        if not found:
            raise InputError(f"{name}: nothing matches")
        for path in found:
            if not os.path.isdir(path):
                yield from _one(path, extensions, without, own)
    else:
        raise InputError(f"{name}: there is no such file or folder")


def _file(path: str) -> Found:
    key = key_of(path)
    try:
        status = os.stat(path)
    except OSError:
        # It fails when it is read, and is told among the others.
        return Found(key)
    return Found(key, status.st_size, status.st_mtime_ns)


def _folder(top: str, extensions: frozenset[str], without: frozenset[str], own: str) -> Iterator[Found]:
    def complain(error: OSError) -> None:
        raise InputError(f"{error.filename}: {error.strerror}")

    audio = {own}
    for folder, below, names in os.walk(top, onerror=complain, followlinks=False):
        real = os.path.realpath(folder)
        if _has_results(below, names):
            audio.add(os.path.join(real, "audio"))
        parent, shard = os.path.split(real)
        # Recordings may lie there, too: runs are known by what they call theirs.
        written = parent in audio
        below[:] = sorted((n for n in below if n != ".corpus" and os.path.join(real, n) not in without
                           and not (written and is_audio_of_a_run(n, shard))), key=os.fsencode)
        for name in sorted(names, key=os.fsencode):
            path = os.path.join(folder, name)
            if ending(name)[1:] in extensions and not (written and is_audio_of_a_run(name, shard)) and not _waits(path):
                yield _file(path)


def _has_results(below: Sequence[str], names: Sequence[str]) -> bool:
    """Whether a folder with these folders and files is one that a run wrote its results into."""
    return ".corpus" in below or {"corpus.json", "files.parquet", "segments.parquet"} <= set(names)


def _waits(path: str) -> bool:
    """Whether it is a pipe, a socket or a device rather than a file."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode)


def _manifest(name: str, folder: str) -> Iterator[Found]:
    """Files that a manifest names; relative ones lie beside it."""
    for path in _paths(name):
        if not _can_be(path):
            raise InputError(f"{name}: no file can have the name {path!r}: mend it, or take it out")
        if path.startswith(_LOCAL):
            path = path[len(_LOCAL):]
        if is_url(path):
            yield Found(path)
        elif folder or os.path.isabs(path):
            yield _file(os.path.join(folder, path))
        else:
            yield Found(urljoin(name, path) if name.startswith(HTTP) else name.rsplit("/", 1)[0] + "/" + path)


def _can_be(path: str) -> bool:
    """Whether a file can be called so: not with a zero byte, nor with halves of characters that no bytes stand for."""
    try:
        return b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        return False


def _paths(name: str) -> Iterator[str]:
    kind = ending(name)
    if kind == ".parquet":
        yield from _parquet_paths(name)
        return
    with _opened(name) as f:
        if kind in (".csv", ".tsv"):
            yield from _table_paths(name, f, "\t" if kind == ".tsv" else ",")
        elif kind in (".jsonl", ".ndjson", ".json"):
            yield from _json_paths(name, f)
        elif kind == ".scp":
            yield from _script(name, f)
        else:
            yield from (line for line in _lines(f) if not line.startswith("#"))


def _opened(name: str) -> TextIO:
    try:
        return open_url(name)
    except OSError as e:
        raise InputError(f"{name}: cannot be read: {e.strerror or e}") from e


def _lines(text: Iterable[str]) -> Iterator[str]:
    """A path a line, without blank lines."""
    for line in text:
        words = line.rstrip("\r\n")
        if words.strip():
            yield words


def _script(name: str, text: Iterable[str]) -> Iterator[str]:
    """What follows the first word of each line of Kaldi's tables."""
    for number, line in enumerate(text, 1):
        words = line.rstrip("\r\n").split(None, 1)
        if len(words) == 1 or words and words[1].endswith("|"):
            raise InputError(f"{name}:{number}: a line is an identifier and the path of a file, not {line.strip()!r}")
        if words:
            yield words[1]


def _standard_input() -> Iterator[Found]:
    """Files that standard input names, a path a line, or with a zero byte after each (``find -print0``)."""
    data = os.fsdecode(sys.stdin.buffer.read().removeprefix(codecs.BOM_UTF8))
    for path in (p for p in data.split("\0") if p) if "\0" in data else _lines(data.split("\n")):
        yield Found(path) if is_url(path) else _file(path)


def _field(name: str, fields: Sequence[str]) -> str:
    for wanted in PATH_FIELDS:
        if wanted in fields:
            return wanted
    raise InputError(f"{name}: no column `path` (or {', '.join(PATH_FIELDS[1:])}) among: {', '.join(fields)}")


def _table_paths(name: str, lines: Any, delimiter: str) -> Iterator[str]:
    # A transcript may be longer than what the module takes by default.
    csv.field_size_limit(_LONGEST_FIELD)
    rows = csv.DictReader(lines, delimiter=delimiter)
    try:
        field = _field(name, list(rows.fieldnames or []))
        for row in rows:
            if row[field]:
                yield row[field]
    except csv.Error as e:
        raise InputError(f"{name}:{rows.line_num}: no table of text: {e}") from e


def _json_paths(name: str, lines: Any) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as e:
            raise InputError(f"{name}:{number}: not a JSON object on a line of its own: {e}") from None
        if isinstance(row, str):
            yield row
            continue
        if not isinstance(row, dict):
            raise InputError(f"{name}:{number}: not a JSON object")
        value = row[_field(f"{name}:{number}", list(row))]
        if not isinstance(value, str):
            raise InputError(f"{name}:{number}: the path is no text: {value!r}")
        yield value


def _parquet_paths(name: str) -> Iterator[str]:
    from .parquet import NoManifest, read_paths

    try:
        yield from read_paths(name, lambda columns: _field(name, columns))
    except NoManifest as e:
        raise InputError(f"{name}: {e}") from e
