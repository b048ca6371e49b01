# SPDX-License-Identifier: MIT
"""A run on one page: HTML without scripts and without anything from elsewhere."""
from __future__ import annotations

import math
import pkgutil
from html import escape
from typing import Any, Dict, List, Optional, Sequence, Tuple

from .document import calls, node_times, run_document
from .heard import courses_drawing
from .messages import NodeFailure, Segment
from .record import Run
from .svg import LEFT, WIDTH, TimeAxis, drawing, duration, envelope, seconds, sparkline
from .table import microseconds

#: Tracebacks shown; of equal failures only the first one.
_MAX_TRACEBACKS = 50
#: Rows of a table that a page can bear.
_MAX_ROWS = 500
_BANDS = {"ok": "ok", "degraded": "warn", "skipping": "warn", "failed": "bad", "finished": "ok",
          "interrupted": "warn", "closed": "ok", "half-open": "warn", "open": "bad"}


def html_report(run: Run) -> str:
    """The page that shows ``run``."""
    css = (pkgutil.get_data(__package__, "report.css") or b"").decode()
    execution = run_document(run)["pipeline_execution"]
    parts = [
        _head(run, execution),
        _errors(run),
        _timeline(run),
        _heard(run),
        _elements(run, execution["nodes"]),
        _windows(run),
        _failures(run),
        _breaker(run),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{escape(run.pipeline)}: run report</title>\n<style>\n{css}</style>\n</head>\n"
        "<body>\n<main>\n" + "\n".join(p for p in parts if p) + "\n</main>\n</body>\n</html>\n"
    )


def _state(text: str) -> str:
    return f'<span class="state {_BANDS.get(text, "warn")}">{escape(text)}</span>'


def _section(name: str, title: str, intro: str, body: str) -> str:
    return (
        f'<section aria-labelledby="{name}"><h2 id="{name}">{escape(title)}</h2>'
        f'<p class="dim">{intro}</p>{body}</section>'
    )


def _table(caption: str, head: Sequence[Tuple[str, bool]], rows: Sequence[Sequence[str]]) -> str:
    """A table of HTML cells; ``head`` gives each column's name and whether it holds text."""
    top = "".join(f'<th scope="col"{" class=t" if text else ""}>{escape(h)}</th>' for h, text in head)
    body = []
    for row in rows[:_MAX_ROWS]:
        cells = [f'<th scope="row" class="t">{row[0]}</th>']
        cells += [
            f'<td class="t{" wrap" if len(c) > 60 else ""}">{c}</td>' if text else f"<td>{c}</td>"
            for c, (_, text) in zip(row[1:], head[1:])
        ]
        body.append(f"<tr>{''.join(cells)}</tr>")
    more = len(rows) - _MAX_ROWS
    note = f'<p class="dim">{more} more are in the JSON document.</p>' if more > 0 else ""
    return (
        f'<div class="scroll"><table><caption>{escape(caption)}</caption><thead><tr>{top}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>{note}"
    )


def _head(run: Run, execution: Dict[str, Any]) -> str:
    nodes = execution["nodes"]
    facts: List[Tuple[str, str]] = []
    if run.outcome:
        facts.append(("Outcome", _state(run.outcome)))
    if run.total_time is not None:
        facts.append(("Wall time", f"{seconds(run.total_time)} s"))
    media = run.media_time
    if media:
        facts.append(("Audio", f"{seconds(media)} s"))
    if run.segments:
        spoken = sum(s.duration or 0 for s in run.segments)
        facts.append(("Speech", f"{seconds(spoken)} s in {run.num_segments}"))
    facts.append(("Failures", str(sum(n.get("failures") or 0 for n in nodes))))
    facts.append(("Retries", str(sum(n.get("retries") or 0 for n in nodes))))
    if execution["process_peak_rss_mb"] is not None:
        facts.append(("Peak RSS", f"{execution['process_peak_rss_mb']:.1f} MB"))
    shown = "".join(f"<div><dt>{escape(k)}</dt><dd>{v}</dd></div>" for k, v in facts)
    line = f'<pre class="line">{escape(run.line)}</pre>' if run.line else ""
    return (
        f"<header><h1>Run of {escape(run.pipeline)}</h1>{line}"
        f'<dl class="facts">{shown}</dl></header>'
    )


def _errors(run: Run) -> str:
    if not run.errors:
        return ""
    body = "".join(
        f"<h3>{escape(e.path)}</h3><p>{escape(e.text)}</p>"
        + (f"<pre>{escape(e.debug)}</pre>" if e.debug else "")
        for e in run.errors
    )
    return _section("errors", "Errors", "They ended the run.", body)


def _timeline(run: Run) -> str:
    media = run.media_time
    wave = run.waveform if run.waveform is not None and len(run.waveform) else None
    if not media or not (run.segments or wave or run.breakers or run.num_failures):
        return ""
    axis = TimeAxis(media)
    height = 150.0
    body: List[str] = []
    bottom = 20 + height
    for name in dict.fromkeys(b.path for b in run.breakers):
        bottom += 30
    if run.failures:
        bottom += 22
    body += axis.ticks(16, bottom)
    body += [_speech_block(axis, s, media, 20, height) for s in run.segments]
    if wave is not None:
        body.append(envelope(axis, wave.peaks(), wave.width, 24, height - 8))
    body += _segment_numbers(axis, run.segments)
    y = 20 + height
    if run.failures:
        y += 16
        body.append(f'<text class="tick" x="{LEFT - 8}" y="{y}" text-anchor="end">failures</text>')
        body += _failure_marks(axis, run.failures, y)
        y += 6
    for name in dict.fromkeys(b.path for b in run.breakers):
        body += _breaker_band(axis, run, name, media, y + 6)
        y += 30
    count = len(run.segments)
    text = f"{count} segment{'' if count == 1 else 's'} of speech in {seconds(media)} s of audio"
    drawn = drawing(body, bottom + 24, "speech-drawing", "Timeline of the run", text)
    rows = [
        [
            str(s.segment),
            seconds(s.start),
            "–" if s.end is None else seconds(s.end),
            "–" if s.duration is None else seconds(s.duration),
            _num(s.level, "{:.1f}"),
            f"{s.noise_floor:.1f}",
            escape(s.path),
        ]
        for s in run.segments
    ]
    head = [("Segment", True), ("Start s", False), ("End s", False), ("Length s", False),
            ("Level dBFS", False), ("Noise floor dBFS", False), ("Element", True)]
    listed = _table("Segments of speech, in running time", head, rows) if rows else ""
    if len(rows) > 12:
        listed = f"<details><summary>All {len(rows)} segments</summary>{listed}</details>"
    intro = "Speech is shaded and numbered" + (
        ", over the waveform" if wave is not None else ""
    ) + "."
    if run.failures or run.breakers:
        intro += " Below: failed calls and the circuit breaker."
    return _section("timeline", "Timeline", intro, drawn + listed)


def _heard(run: Run) -> str:
    if not run.heard:
        return ""
    drawings = "".join(
        (f"<h3>{escape(name)}</h3>" if len(run.heard) > 1 else "") + courses_drawing(run, name)
        for name in run.heard
    )
    return _section("heard", "What the detector heard", "Probability of speech, and the scores that it was made "
                    "of, each to its own scale; segments are shaded.", drawings)


def _speech_block(axis: TimeAxis, s: Segment, media: int, top: float, height: float) -> str:
    end = media if s.end is None else s.end
    x, width = axis.x(s.start), max(axis.x(end) - axis.x(s.start), 1.0)
    told = "until the end" if s.end is None else f"to {seconds(s.end)} s"
    if s.level is not None:
        told += f", {s.level:.1f} dBFS"
    return (
        f'<rect class="speech" x="{x:.1f}" y="{top:g}" width="{width:.1f}" height="{height:g}" rx="3">'
        f"<title>Segment {s.segment}: {seconds(s.start)} {told}</title></rect>"
    )


def _segment_numbers(axis: TimeAxis, segments: Sequence[Segment]) -> List[str]:
    """Numbers above the segments, as many as there is room for."""
    out, free = [], 0.0
    for s in segments:
        x = axis.x(s.start)
        if x >= free:
            out.append(f'<text x="{x:.1f}" y="13">{s.segment}</text>')
            free = x + 9 * len(str(s.segment)) + 4
    return out


def _failure_marks(axis: TimeAxis, failures: Sequence[NodeFailure], y: float) -> List[str]:
    marks: Dict[int, NodeFailure] = {}
    for f in failures:
        if f.running_time is not None:
            marks.setdefault(round(axis.x(f.running_time) / 3), f)
    return [
        f'<path class="mark" d="M{axis.x(f.running_time or 0):.1f} {y - 11:g} l5 10 h-10 z">'
        f"<title>{escape(f.path)}: {escape(f.exception)} at {seconds(f.running_time or 0)} s</title></path>"
        for f in marks.values()
    ]


def _breaker_band(axis: TimeAxis, run: Run, name: str, media: int, y: float) -> List[str]:
    changes = [b for b in run.breakers if b.path == name and b.running_time is not None]
    at = [(0, "closed")] + [(b.running_time or 0, b.state) for b in changes]
    out = [f'<text class="tick" x="{LEFT - 8}" y="{y + 13}" text-anchor="end">breaker</text>']
    for (start, state), (end, _) in zip(at, at[1:] + [(media, "")]):
        x, width = axis.x(start), axis.x(end) - axis.x(start)
        if width <= 0 and start != end:
            continue
        kind = state if state in ("closed", "open", "half-open") else "half-open"
        out.append(
            f'<rect class="{kind}" x="{x:.1f}" y="{y:g}" width="{max(width, 1):.1f}" height="18" rx="2">'
            f"<title>{escape(name)}: {escape(state)} from {seconds(start)} to {seconds(end)} s</title></rect>"
        )
        if width > 9 * len(state):
            out.append(f'<text x="{x + 5:.1f}" y="{y + 13:g}" class="tick">{escape(state)}</text>')
    return out


def _num(value: Optional[float], text: str = "{}") -> str:
    return "–" if value is None else text.format(value)


def _elements(run: Run, nodes: Sequence[Dict[str, Any]]) -> str:
    if not nodes:
        return _section("elements", "Elements", "No element sent metrics.", "")
    rows = []
    for n in nodes:
        rtf = n.get("real_time_factor")
        rows.append([
            f'{escape(n["id"])}<br><span class="dim kind">{escape(n["type"] or "")}</span>',
            _state(n["status"]), _num(n.get("buffers"), "{:,}"),
            *map(microseconds, node_times(run, n)),
            "–" if rtf is None else f"{100 * rtf:.2f}",
            "–" if n["memory_mb"] is None else f"{n['memory_mb'] * 1000:,.0f}",
            _num(n.get("retries")), _num(n.get("failures")), _num(n.get("skipped")),
        ])
    head = [("Element", True), ("Status", True), ("Buffers", False), ("Total µs", False),
            ("p50 µs", False), ("p95 µs", False), ("p99 µs", False), ("Max µs", False),
            ("% real time", False), ("Memory kB", False), ("Retries", False), ("Failures", False),
            ("Skipped", False)]
    table = _table("Own work of each element; what it pushes to downstream is not in it", head, rows)
    return _section(
        "elements", "Elements",
        "Time per buffer from p50 (line) over p95 (dark) to p99 (light), on a logarithmic scale.",
        _percentiles(run, nodes) + table + _calls(run),
    )


def _calls(run: Run) -> str:
    rows = [
        [escape(name), f"{figures[0]:,}", *map(microseconds, figures[1:])] for name, figures in calls(run)
    ]
    if not rows:
        return ""
    head = [("Element", True), ("Calls", False), ("p50 µs", False), ("p95 µs", False),
            ("p99 µs", False), ("Max µs", False)]
    return _table("Calls of Python nodes, each attempt counted; waits between attempts are not in them",
                  head, rows)


def _percentiles(run: Run, nodes: Sequence[Dict[str, Any]]) -> str:
    times = [(n["id"], [t or 0.0 for t in node_times(run, n)]) for n in nodes]
    times = [(name, t) for name, t in times if t[4] > 0]
    if not times:
        return ""
    left, right = 190, LEFT + WIDTH - 90
    low = math.floor(math.log10(min(max(t[1], 100.0) for _, t in times)))
    high = max(low + 1, math.ceil(math.log10(max(max(t[3], 100.0) for _, t in times))))

    def x(ns: float) -> float:
        return left + (right - left) * (math.log10(max(ns, 10.0**low)) - low) / (high - low)

    body, bottom = [], 10 + 26 * len(times)
    for decade in range(low, high + 1):
        at = x(10.0**decade)
        body.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="4" y2="{bottom}"/>')
        body.append(f'<text class="tick" x="{at:.1f}" y="{bottom + 16}" text-anchor="middle">'
                    f"{duration(10.0**decade)}</text>")
    for i, (name, t) in enumerate(times):
        y = 8 + 26 * i
        p50, p95, p99 = map(x, t[1:4])
        told = ", ".join(f"{p} {duration(v)}" for p, v in zip(("p50", "p95", "p99", "max"), t[1:]))
        body.append(
            f"<g><title>{escape(name)}: {told}</title>"
            f'<text x="{left - 10}" y="{y + 14}" text-anchor="end">{escape(name[:24])}</text>'
            f'<rect class="bar-soft" x="{p95:.1f}" y="{y + 3}" width="{max(p99 - p95, 1):.1f}" height="14"/>'
            f'<rect class="bar" x="{p50:.1f}" y="{y + 3}" width="{max(p95 - p50, 1):.1f}" height="14"/>'
            f'<line class="p50" x1="{p50:.1f}" x2="{p50:.1f}" y1="{y}" y2="{y + 20}"/>'
            f'<text class="tick" x="{p99 + 8:.1f}" y="{y + 14}">{duration(t[3])}</text></g>'
        )
    return drawing(body, bottom + 24, "times-drawing", "Time per buffer of each element",
                   "The figures are in the table below.")


def _windows(run: Run) -> str:
    """p99 of each window over time, one strip an element."""
    series: Dict[str, List[Tuple[int, float]]] = {}
    for name, windows in run.windows.items():
        points = [
            (m.running_time + m.duration // 2, float(m.processing_time_p99))
            for m in windows
            if m.running_time is not None and m.duration
        ]
        if len(points) > 1:
            series[name] = points
    if not series:
        return ""
    axis = TimeAxis(run.media_time)
    body: List[str] = []
    y = 6.0
    bottom = y + 58 * len(series)
    body += axis.ticks(6, bottom)
    for name, points in series.items():
        limit = max(v for _, v in points) or 1.0
        body.append(f'<text x="{LEFT + 4}" y="{y + 12:g}">{escape(name)}: at most {duration(limit)}</text>')
        body.append(f"<g><title>{escape(name)}</title>{sparkline(axis, points, y + 18, 34, limit)}</g>")
        y += 58
    drawn = drawing(body, bottom + 24, "windows-drawing", "99th percentile of each window",
                    "One strip an element, each to its own scale.")
    return _section("windows", "Over time", "99th percentile of the time per buffer in each metrics "
                    "window, each element to its own scale.", drawn)


def _failures(run: Run) -> str:
    if not run.failures:
        return ""
    kinds: Dict[Tuple[str, str, str], List[NodeFailure]] = {}
    for f in run.failures:
        kinds.setdefault((f.path, f.exception, f.traceback), []).append(f)
    rows = [
        [escape(f.path), "–" if f.running_time is None else seconds(f.running_time), escape(f.exception),
         escape(f.message), f"{f.attempt} of {f.max_attempts}", "yes" if f.retryable else "no",
         escape(f.action)]
        for f in run.failures
    ]
    head = [("Element", True), ("At s", False), ("Exception", True), ("Message", True),
            ("Attempt", False), ("Retryable", True), ("Action", True)]
    listed = _table("Failed calls, in running time", head, rows)
    if len(rows) > 12:
        listed = f"<details><summary>All {len(rows)} failed calls kept</summary>{listed}</details>"
    traces = "".join(
        f"<details{' open' if i == 0 else ''}><summary>{escape(name)}: <code>{escape(exception)}</code>, "
        f"{len(same)} time{'' if len(same) == 1 else 's'}: {escape(same[0].message)}</summary>"
        f"<pre>{escape(trace)}</pre></details>"
        for i, ((name, exception, trace), same) in enumerate(list(kinds.items())[:_MAX_TRACEBACKS])
    )
    intro = f"{run.num_failures} call{'' if run.num_failures == 1 else 's'} of Python nodes failed."
    if run.num_failures > len(run.failures):
        intro += f" The first {len(run.failures)} are kept."
    return _section("failures", "Failures", intro, traces + listed)


def _breaker(run: Run) -> str:
    if not run.breakers:
        return ""
    rows = [
        ["–" if b.running_time is None else seconds(b.running_time), _state(b.state), escape(b.path)]
        for b in run.breakers
    ]
    head = [("At s", True), ("State", True), ("Element", True)]
    return _section("breaker", "Circuit breaker", "While it is open no call is made; half-open lets one "
                    "trial call through.", _table("Changes of state, in running time", head, rows))
