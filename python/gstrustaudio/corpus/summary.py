# SPDX-License-Identifier: MIT
"""The figures of a corpus: what its page, its document and the last line of a run tell."""
from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Dict, List, Tuple

from .result import DONE, Result, Segment

#: Bounds of segment lengths in s, for the histogram; the last bin has no end.
LENGTHS = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 60.0)
#: Segments that the page plays.
SAMPLES = 12
#: Steps of a decade of processing times: a bin is 2.3 % wide.
_STEPS = 100
_PERCENTILES = ("p50", "p95", "p99")


class _Element:
    """What one element of the pipeline cost over all files."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.sums: "Counter[str]" = Counter()
        self.longest = self.memory = 0
        self.bins: Dict[str, "Counter[int]"] = {p: Counter() for p in _PERCENTILES}
        self.last_error = ""

    def add(self, m: Dict[str, Any]) -> None:
        """Adds the final metrics of one file."""
        for name in ("buffers", "time", "retries", "errors", "skipped", "timeouts", "dropped"):
            self.sums[name] += m[name]
        self.longest = max(self.longest, m["max"])
        self.memory = max(self.memory, m["memory"])
        self.last_error = m["last_error"] or self.last_error
        for p in _PERCENTILES:
            self.bins[p][round(math.log10(max(m[p], 1)) * _STEPS)] += m["buffers"]

    def percentile(self, name: str) -> float:
        """Median over files of their percentile, a file weighing as much as it has buffers; ns."""
        half, below = sum(self.bins[name].values()) / 2, 0
        for step, count in sorted(self.bins[name].items()):
            below += count
            if below >= half and count:
                return float(10 ** (step / _STEPS))
        return 0.0

    def node(self, name: str, audio: float) -> Dict[str, Any]:
        """The element as a node of the pipeline document; ``audio`` is seconds in all."""
        status = "degraded" if self.sums["errors"] or self.sums["skipped"] else "ok"
        ms = {f"{p}_ms": round(self.percentile(p) / 1e3) / 1e3 for p in _PERCENTILES}
        return {
            "id": name, "type": self.kind, "execution_time_ms": round(self.sums["time"] / 1e3) / 1e3,
            "memory_mb": self.memory / 1e6, "status": status, "buffers": self.sums["buffers"], **ms,
            "max_ms": round(self.longest / 1e3) / 1e3, "retries": self.sums["retries"],
            "failures": self.sums["errors"], "skipped": self.sums["skipped"], "timeouts": self.sums["timeouts"],
            "dropped": self.sums["dropped"],
            "real_time_factor": round(self.sums["time"] / 1e9 / audio, 9) if audio else None,
            "last_error": self.last_error,
        }


@dataclass
class Summary:
    """Adds up results; what it keeps does not grow with them."""

    #: Segments by the bins of `LENGTHS`.
    lengths: List[int] = field(default_factory=lambda: [0] * len(LENGTHS))
    warnings: "Counter[str]" = field(default_factory=Counter)
    #: Key and segment of some that lie evenly over all, and where its file's samples begin in the file's own time, ns.
    samples: List[Tuple[str, Segment, int]] = field(default_factory=list)
    elements: Dict[str, _Element] = field(default_factory=dict)
    _every: int = 1
    _seen: int = 0

    def add(self, key: str, result: Result) -> None:
        """Adds a file."""
        self.warnings.update(w.split(":")[0] for w in result.warnings)
        for name, m in result.run.get("elements", {}).items():
            self.elements.setdefault(name, _Element(m["factory"])).add(m)
        if result.status != DONE:
            return
        for s in result.segments:
            seconds = (s.end - s.start) / 1e9
            self.lengths[sum(seconds >= bound for bound in LENGTHS) - 1] += 1
            self._sample(key, s, result.start_time)

    def _sample(self, key: str, segment: Segment, begin: int) -> None:
        """Keeps every ``_every``-th; twice as seldom each time there are too many."""
        if self._seen % self._every == 0:
            self.samples.append((key, segment, begin))
            if len(self.samples) > 2 * SAMPLES:
                self.samples = self.samples[::2]
                self._every *= 2
        self._seen += 1

    def shown(self) -> List[Tuple[str, Segment, int]]:
        """The samples for the page."""
        step = max(1, math.ceil(len(self.samples) / SAMPLES))
        return self.samples[::step]


def corpus_document(counts: Dict[str, int], totals: Dict[str, float], runs: List[Tuple[float, float, int, str, str]],
                    options: Dict[str, Any], summary: Summary) -> Dict[str, Any]:
    """The pipeline document of a corpus: nodes with their sums over all files, and ``corpus`` with what was done.

    ``p50_ms``, ``p95_ms`` and ``p99_ms`` are medians over files, weighed by buffers (in steps of 2 %)."""
    audio = totals["duration"] / 1e9
    wall = sum(r[1] for r in runs)
    outcome = runs[-1][3] if runs else ""
    return {
        "pipeline_execution": {
            "pipeline": "corpus",
            "total_time_ms": round(wall * 1e6) / 1e3,
            "process_peak_rss_mb": None,
            "nodes": [element.node(name, audio) for name, element in summary.elements.items()],
            "outcome": outcome,
            "errors": [],
        },
        "corpus": {
            "files": counts, "audio_s": round(audio, 6), "speech_s": round(totals["speech"] / 1e9, 6),
            "segments": int(totals["segments"]), "work_s": round(totals["seconds"], 6), "cpu_s": round(totals["cpu"], 6),
            "wall_s": round(wall, 6), "real_time_factor": round(totals["seconds"] / audio, 9) if audio else None,
            "options": options,
            "runs": [{"started": s, "seconds": round(t, 3), "files": n, "outcome": o, "command": c}
                     for s, t, n, o, c in runs],
        },
    }
