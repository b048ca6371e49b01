# SPDX-License-Identifier: MIT
"""From the ledger to what users read: tables, manifests, document and page, each whole or not at all."""
from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any, Dict, Iterable

from .ledger import Ledger
from .manifests import Manifests
from .names import file_id, is_url, shard
from .options import AUDIO_FORMATS, Options
from .page import EXAMPLES, SLOWEST, corpus_page, write_page
from .parquet import Tables
from .storage import join, place, put, remove
from .summary import Summary, corpus_document


#: What only some runs write.
OPTIONAL = frozenset({"kaldi/text"})


def remove_audio(out: str, keys: Iterable[str]) -> None:
    """Removes the audio that runs into the folder ``out`` wrote of ``keys``, and folders that are then empty. Nothing
    else there is theirs."""
    audio = os.path.join(out, "audio")
    if not os.path.isdir(audio):
        return
    endings = [e + part for e in ("", *AUDIO_FORMATS.values()) for part in ("", ".part")]
    for key in keys:
        identifier = file_id(key)
        folder = os.path.join(audio, shard(identifier))
        if not os.path.isdir(folder):
            continue
        for name in (os.path.join(folder, identifier + e) for e in endings):
            if os.path.isdir(name):
                shutil.rmtree(name, ignore_errors=True)
            else:
                with suppress(OSError):
                    os.unlink(name)
        with suppress(OSError):
            os.rmdir(folder)
    with suppress(OSError):
        os.rmdir(audio)


def publish(ledger: Ledger, options: Options, out: str, scratch: str) -> Dict[str, Any]:
    """Writes everything anew below ``scratch``, then moves it to ``out``. Returns the document."""
    new = Path(scratch) / "new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True, exist_ok=True)
    tables = Tables(str(new))
    manifests = Manifests(str(new), out if is_url(out) else os.path.abspath(out), options)
    summary = Summary()
    for key, size, result in ledger.results():
        tables.add(key, size, result)
        manifests.add(key, result)
        summary.add(key, result)
    tables.close()
    manifests.close()
    document = corpus_document(ledger.counts(), ledger.totals(), ledger.runs(), options.deciding(), summary)
    (new / "corpus.json").write_text(json.dumps(document, indent=2) + "\n")
    kinds = [(status, kind, count, ledger.examples(status, kind, EXAMPLES)) for status, kind, count in ledger.kinds()]
    write_page(new / "report.html", corpus_page(document, summary, kinds, ledger.slowest(SLOWEST)))
    names = sorted(p.relative_to(new).as_posix() for p in new.rglob("*") if p.is_file())
    for name in names:
        if is_url(out):
            put(str(new / name), join(out, name))
        else:
            os.makedirs(os.path.join(out, os.path.dirname(name)), exist_ok=True)
            place(str(new / name), os.path.join(out, name))
    # What is there of an earlier run belongs to other segments.
    for name in OPTIONAL.difference(names):
        remove(join(out, name))
    shutil.rmtree(new)
    return document
