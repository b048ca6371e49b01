# SPDX-License-Identifier: MIT
"""The short tables that the command line prints."""
from __future__ import annotations

from typing import List, Optional, Sequence

from .document import calls, node_times, run_document
from .record import Run


def table(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> List[str]:
    """Lines of a table; the first ``left`` columns and the last one are text."""
    widths = [max(len(r[i]) for r in [head, *rows]) for i in range(len(head))]

    def line(row: Sequence[str]) -> str:
        cells = [
            cell.ljust(w) if i < left or i == len(row) - 1 else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(row, widths))
        ]
        return ("  " + "  ".join(cells)).rstrip()

    return [line(head), *map(line, rows)]


def microseconds(ns: Optional[float]) -> str:
    """``ns`` in microseconds: tenths where they matter."""
    return "-" if ns is None else f"{ns / 1e3:.1f}" if ns < 1e6 else f"{ns / 1e3:.0f}"


def summary(run: Run) -> str:
    """Speech segments and elements of ``run``."""
    out: List[str] = []
    if run.segments:
        out.append("Speech, s of running time")
        rows = [
            [
                str(s.segment),
                f"{s.start / 1e9:.3f}",
                "-" if s.end is None else f"{s.end / 1e9:.3f}",
                "-" if s.duration is None else f"{s.duration / 1e9:.3f}",
                "-" if s.level is None else f"{s.level:.1f}",
                s.path,
            ]
            for s in run.segments
        ]
        out += table(["segment", "start", "end", "length", "dBFS", "element"], rows)
        out.append("")
    execution = run_document(run)["pipeline_execution"]
    if execution["nodes"]:
        total = execution["total_time_ms"]
        out.append("Elements" + ("" if total is None else f" in {total / 1000:.3f} s") + ", times in us")
        rows = []
        for n in execution["nodes"]:
            rtf = n.get("real_time_factor")
            rows.append(
                [
                    n["id"],
                    n["type"] or "-",
                    str(n.get("buffers", "-")),
                    *map(microseconds, node_times(run, n)),
                    "-" if rtf is None else f"{100 * rtf:.2f}",
                    "-" if n["memory_mb"] is None else f"{n['memory_mb'] * 1000:.0f}",
                    str(n.get("retries", "-")),
                    str(n.get("failures", "-")),
                    str(n.get("skipped", "-")),
                    n["status"],
                ]
            )
        head = ["element", "type", "buffers", "total", "p50", "p95", "p99", "max", "% real time",
                "kB", "retries", "failures", "skipped", "status"]
        out += table(head, rows, left=2)
        nodes = calls(run)
        if nodes:
            out += ["", "Calls of Python nodes, times in us"]
            rows = [[name, str(figures[0]), *map(microseconds, figures[1:])] for name, figures in nodes]
            out += table(["element", "calls", "p50", "p95", "p99", "max"], rows)
    else:
        out.append("No metrics: is there an element of the rustaudio plugin in the line, and post-metrics on?")
    return "\n".join(out)
