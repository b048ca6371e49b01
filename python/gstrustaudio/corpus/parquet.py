# SPDX-License-Identifier: MIT
"""The tables of a corpus, by pyarrow: files, segments and times.

``files`` and ``segments`` depend on input and settings alone: two runs that end give the same bytes, however
often they were interrupted and wherever they ran. What depends on the run is in ``times``."""
from __future__ import annotations

import json
import os
from importlib import import_module
from typing import Any, Dict, Iterator, List, Optional

from .names import file_id, is_unicode, key_bytes, printable
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
            ("duration", real),
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
            "source_frames": r.source_frames, "duration": r.duration / 1e9, "speech": r.speech / 1e9, "num_segments": len(r.segments),
            "audio": r.audio, "warnings": r.warnings}


def segment_rows(key: str, r: Result) -> Iterator[Dict[str, Any]]:
    """Rows of ``segments``; times are seconds, levels dBFS."""
    from .result import node_text

    for s in r.segments:
        node = json.dumps(s.node, default=str) if s.node else None
        yield {**_source(key), "index": s.index, "start": s.start / 1e9, "end": s.end / 1e9,
               "duration": (s.end - s.start) / 1e9, "level": s.level, "noise_floor": s.noise_floor,
               "probability": s.probability, "text": node_text(s), "node": node, "audio": s.audio or None}


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


def _opened(name: str) -> Any:
    from .names import is_url

    if not is_url(name):
        return arrow("pyarrow.parquet").ParquetFile(name)
    return arrow("pyarrow.parquet").ParquetFile(open_url(name).buffer)


def read_column_names(name: str) -> List[str]:
    """The columns of a manifest in Parquet."""
    return list(_opened(name).schema_arrow.names)


def read_paths(name: str, column: str) -> Iterator[str]:
    """The paths in ``column``, exact ones from ``path_bytes`` where there are such."""
    file = _opened(name)
    also: Optional[str] = "path_bytes" if column == "path" and "path_bytes" in file.schema_arrow.names else None
    for batch in file.iter_batches(columns=[column] + ([also] if also else [])):
        exact = batch.column(1).to_pylist() if also else []
        for i, path in enumerate(batch.column(0).to_pylist()):
            if exact and exact[i] is not None:
                yield os.fsdecode(exact[i])
            elif path:
                yield path


