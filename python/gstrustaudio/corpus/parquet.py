# SPDX-License-Identifier: MIT
"""The tables of a corpus, by pyarrow: files, segments and times.

``files`` and ``segments`` depend on input and settings alone: two runs that end give the same bytes, however
often they were interrupted and wherever they ran. What depends on the run is in ``times``."""
from __future__ import annotations

import json
import math
import os
from importlib import import_module
from typing import Any, Callable, Dict, Iterator, List

from .names import file_id, is_unicode, is_url, key_bytes, printable
from .result import Result
from .storage import open_url

_ROWS = 5000


class MissingPackage(Exception):
    """A package is missing; the text says how to get it."""


def arrow(what: str) -> Any:
    """A module of pyarrow."""
    try:
        return import_module(what)
    except ImportError as e:
        raise MissingPackage(f"corpus writes Parquet with pyarrow, which does not load ({e}): "
                             "pip install pyarrow 'numpy>=2'") from e


def _schemas() -> Dict[str, Any]:
    pa = arrow("pyarrow")
    text, number, real = pa.string(), pa.int64(), pa.float64()
    source = [("path", text), ("path_bytes", pa.binary()), ("id", text)]
    return {
        "files": pa.schema([
            *source, ("status", text), ("kind", text), ("reason", text), ("traceback", text), ("size", number),
            ("codec", text), ("source_rate", pa.int32()), ("source_channels", pa.int32()), ("source_frames", number),
            ("duration", real), ("start_time", real),
            ("speech", real), ("num_segments", pa.int32()), ("audio", text), ("warnings", pa.list_(text))]),
        "segments": pa.schema([
            *source, ("index", pa.int32()), ("start", real), ("end", real), ("duration", real), ("level", real),
            ("noise_floor", real), ("probability", real), ("text", text), ("node", text), ("audio", text)]),
        "times": pa.schema([("path", text), ("id", text), ("seconds", real), ("cpu", real), ("debug", text)]),
    }


def _source(key: str) -> Dict[str, Any]:
    return {"path": printable(key), "path_bytes": None if is_unicode(key) else key_bytes(key), "id": file_id(key)}


def file_row(key: str, size: int, r: Result) -> Dict[str, Any]:
    """A row of ``files``; times are seconds."""
    return {**_source(key), "status": r.status, "kind": r.kind, "reason": r.reason, "traceback": r.traceback,
            "size": size, "codec": r.codec, "source_rate": r.source_rate, "source_channels": r.source_channels,
            "source_frames": r.source_frames, "duration": r.duration / 1e9,
            "start_time": r.start_time / 1e9, "speech": r.speech / 1e9, "num_segments": len(r.segments),
            "audio": r.audio, "warnings": r.warnings}


def segment_rows(key: str, r: Result) -> Iterator[Dict[str, Any]]:
    """Rows of ``segments``; times are seconds, levels dBFS."""
    from .result import node_text

    for s in r.segments:
        node = json.dumps(_finite(s.node), default=str, allow_nan=False) if s.node else None
        yield {**_source(key), "index": s.index, "start": s.start / 1e9, "end": s.end / 1e9,
               "duration": (s.end - s.start) / 1e9, "level": s.level, "noise_floor": s.noise_floor,
               "probability": s.probability, "text": node_text(s), "node": node, "audio": s.audio or None}


def _finite(value: Any) -> Any:
    """``value`` with null for NaN and infinities, which JSON does not have."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    return [_finite(v) for v in value] if isinstance(value, (list, tuple)) else value


class Tables:
    """Writes the three tables below ``folder`` as results are added, a group of rows at a time."""

    def __init__(self, folder: str) -> None:
        self._pq, self._pa = arrow("pyarrow.parquet"), arrow("pyarrow")
        self._schemas = _schemas()
        self._rows: Dict[str, List[Dict[str, Any]]] = {name: [] for name in self._schemas}
        self._writers = {name: self._pq.ParquetWriter(os.path.join(folder, f"{name}.parquet"), schema, compression="zstd")
                         for name, schema in self._schemas.items()}

    def add(self, key: str, size: int, result: Result) -> None:
        """Adds a file and its segments."""
        self._put("files", file_row(key, size, result))
        for row in segment_rows(key, result):
            self._put("segments", row)
        self._put("times", {"path": printable(key), "id": file_id(key), "seconds": result.run.get("seconds"),
                            "cpu": result.run.get("cpu"), "debug": result.run.get("debug")})

    def _put(self, name: str, row: Dict[str, Any]) -> None:
        rows = self._rows[name]
        rows.append(row)
        if len(rows) >= _ROWS:
            self._flush(name)

    def _flush(self, name: str) -> None:
        rows = self._rows[name]
        self._writers[name].write_table(self._pa.Table.from_pylist(rows, schema=self._schemas[name]))
        rows.clear()

    def close(self) -> None:
        """Completes the files."""
        for name, writer in self._writers.items():
            self._flush(name)
            writer.close()


class NoManifest(Exception):
    """A file is no Parquet, or its paths are none; the text says what is wrong."""


def read_paths(name: str, choose: Callable[[List[str]], str]) -> Iterator[str]:
    """The paths in the column that ``choose`` takes of all, exact ones from ``path_bytes`` where there are such. Of a
    column of audio as Hugging Face's data sets have it (``bytes``, ``path``), its paths."""
    pq, pa = arrow("pyarrow.parquet"), arrow("pyarrow")
    try:
        file = pq.ParquetFile(open_url(name).buffer if is_url(name) else name)
        schema = file.schema_arrow
        column = choose(list(schema.names))
        kind = schema.field(column).type
        nested = pa.types.is_struct(kind)
        if nested and kind.get_field_index("path") < 0:
            raise NoManifest(f"column {column} has no `path` among {', '.join(field.name for field in kind)}")
        also = column == "path" and "path_bytes" in schema.names
        for batch in file.iter_batches(columns=[f"{column}.path" if nested else column] + ["path_bytes"] * also):
            exact = batch.column("path_bytes").to_pylist() if also else []
            for i, path in enumerate(batch.column(column).to_pylist()):
                path = path["path"] if nested and path is not None else path
                if exact and exact[i] is not None:
                    path = exact[i]
                elif nested and path is None:
                    raise NoManifest(f"column {column} holds audio without a path: write it to files, and name those")
                if isinstance(path, bytes):
                    yield os.fsdecode(path)
                elif path and not isinstance(path, str):
                    raise NoManifest(f"column {column} is of {kind}, not of paths")
                elif path:
                    yield path
    except (pa.ArrowException, UnicodeDecodeError) as e:
        raise NoManifest(f"cannot be read as Parquet: {e}") from e
    except OSError as e:
        raise NoManifest(f"cannot be read: {e.strerror or e}") from e
