# SPDX-License-Identifier: MIT
"""A corpus on one page: HTML without scripts, and with nothing from elsewhere but the audio it plays."""
from __future__ import annotations

import pkgutil
import time
from html import escape
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple
from urllib.parse import quote

from ..svg import LEFT, WIDTH, drawing
from .names import HTTP, is_url, key_bytes, printable
from .result import FAILED, Result, Segment, node_text
from .summary import LENGTHS, Summary

#: Examples of each kind of failure, and slowest files.
EXAMPLES, SLOWEST = 5, 20

Kind = Tuple[str, str, int, List[Tuple[str, Result]]]


def corpus_page(document: Dict[str, Any], summary: Summary, kinds: Sequence[Kind],
                slowest: Sequence[Tuple[str, float, int]]) -> str:
    """The page of ``document``. ``kinds``: status, kind, number and examples of what failed or was skipped;
    ``slowest``: key, seconds and ns of audio."""
    css = (pkgutil.get_data("gstrustaudio", "report.css") or b"").decode()
    corpus = document["corpus"]
    parts = [
        _head(document, corpus),
        _lengths(summary.lengths),
        _samples(summary.shown()),
        _failures(kinds),
        _warnings(summary),
        _slowest(slowest),
        _elements(document["pipeline_execution"]["nodes"]),
        _runs(corpus["runs"]),
        _settings(corpus["options"]),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'; media-src 'self' file: http: https:\">\n"
        f"<title>Corpus report</title>\n<style>\n{css}"
        "audio { height: 32px; width: 200px; vertical-align: middle; }\n"
        "caption { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }\n"
        "#failures ~ .scroll th:first-child { width: 45%; }\n</style>\n</head>\n"
        "<body>\n<main>\n" + "\n".join(p for p in parts if p) + "\n</main>\n</body>\n</html>\n"
    )


def _section(name: str, title: str, intro: str, body: str) -> str:
    return (f'<section aria-labelledby="{name}"><h2 id="{name}">{escape(title)}</h2>'
            f'<p class="dim">{escape(intro)}</p>{body}</section>')


def _table(caption: str, head: Sequence[Tuple[str, bool]], rows: Sequence[Sequence[str]]) -> str:
    """Cells are HTML; ``head`` gives each column's name and whether it holds text."""
    top = "".join(f'<th scope="col"{" class=t" if text else ""}>{escape(h)}</th>' for h, text in head)
    body = "".join(
        "<tr>" + "".join(
            (f'<th scope="row" class="t wrap">{c}</th>' if i == 0 else f'<td class="t wrap">{c}</td>' if text else f"<td>{c}</td>")
            for i, (c, (_, text)) in enumerate(zip(row, head))) + "</tr>"
        for row in rows)
    return (f'<div class="scroll"><table><caption>{escape(caption)}</caption><thead><tr>{top}</tr></thead>'
            f"<tbody>{body}</tbody></table></div>")


def hours(seconds: float) -> str:
    """``seconds`` in the unit that suits it."""
    for unit, scale in (("h", 3600.0), ("min", 60.0)):
        if seconds >= scale:
            return f"{seconds / scale:.2f} {unit}"
    return f"{seconds:.2f} s"


def _head(document: Dict[str, Any], corpus: Dict[str, Any]) -> str:
    files, audio = corpus["files"], corpus["audio_s"]
    outcome = document["pipeline_execution"]["outcome"]
    band = {"finished": "ok", "interrupted": "warn"}.get(outcome, "bad")
    facts = [("Outcome", f'<span class="state {band}">{escape(outcome)}</span>'),
             ("Files done", f"{files['done']:,}"), ("Failed", f"{files['failed']:,}"),
             ("Skipped", f"{files['skipped']:,}"), ("To do", f"{files['pending']:,}"),
             ("Audio", hours(audio))]
    if audio:
        facts += [("Speech", f"{hours(corpus['speech_s'])}, {100 * corpus['speech_s'] / audio:.1f} %"),
                  ("Segments", f"{corpus['segments']:,}")]
        if corpus["work_s"]:
            facts.append(("Real-time factor", f"{corpus['real_time_factor']:.5f} ({audio / corpus['work_s']:,.0f} times)"))
        if corpus["wall_s"]:
            facts.append(("Hours a minute", f"{audio / 60 / corpus['wall_s']:.1f}"))
    shown = "".join(f"<div><dt>{escape(k)}</dt><dd>{v}</dd></div>" for k, v in facts)
    return f'<header><h1>Corpus</h1><dl class="facts">{shown}</dl></header>'


def _bin_name(i: int) -> str:
    low = f"{LENGTHS[i]:g}"
    return f"{low} to {LENGTHS[i + 1]:g} s" if i + 1 < len(LENGTHS) else f"{low} s and more"


def _lengths(counts: Sequence[int]) -> str:
    if not any(counts):
        return ""
    height, most = 150.0, max(counts)
    width = WIDTH / len(counts)
    body = []
    for i, count in enumerate(counts):
        x, tall = LEFT + i * width, height * count / most
        body.append(f'<g><title>{_bin_name(i)}: {count:,}</title>'
                    f'<rect class="bar" x="{x + 2:.1f}" y="{20 + height - tall:.1f}" width="{width - 4:.1f}" height="{max(tall, 0.5 if count else 0):.1f}"/>'
                    f'<text class="tick" x="{x + width / 2:.1f}" y="{14 + height - tall:.1f}" text-anchor="middle">{f"{count:,}" if count else ""}</text>'
                    f'<text class="tick" x="{x:.1f}" y="{height + 38:g}" text-anchor="middle">{LENGTHS[i]:g}</text></g>')
    drawn = drawing(body, height + 48, "lengths-drawing", "Lengths of segments",
                    "; ".join(f"{_bin_name(i)}: {c}" for i, c in enumerate(counts) if c))
    return _section("lengths", "Lengths of segments", "How many segments last from one bound to the next, in seconds; the last bin has no end.", drawn)


def _address(key: str, segment: Segment, begin: int) -> str:
    """Where a browser finds the audio of a segment: its own file beside the page, or its place in the original, whose
    samples begin at ``begin`` (ns) of its own time.
    Empty for an original in storage that browsers do not know."""
    if segment.audio:
        return quote(segment.audio)
    if is_url(key) and not key.startswith(HTTP):
        return ""
    address = key if is_url(key) else "file://" + quote(key_bytes(key))
    return f"{address}#t={(begin + segment.start) / 1e9:.3f},{(begin + segment.end) / 1e9:.3f}"


def _player(address: str) -> str:
    if not address:
        return '<span class="dim">in storage that browsers cannot read</span>'
    return f'<audio controls preload="none" src="{escape(address)}"></audio>'


def _samples(samples: Sequence[Tuple[str, Segment, int]]) -> str:
    if not samples:
        return ""
    rows = [[f"<code>{escape(printable(key))}</code>", str(s.index), f"{s.start / 1e9:.2f}", f"{(s.end - s.start) / 1e9:.2f}",
             f"{s.level:.1f}", f"{s.probability:.2f}", _player(_address(key, s, begin))]
            for key, s, begin in samples]
    head = [("File", True), ("Segment", False), ("Start s", False), ("Length s", False), ("Level dBFS", False),
            ("Probability", False), ("Listen", True)]
    texts = [node_text(s) for _, s, _ in samples]
    if any(text is not None for text in texts):
        head.append(("Text", True))
        for row, text in zip(rows, texts):
            row.append(escape(text or ""))
    return _section("samples", "Samples", "Some segments, evenly over all.", _table("Segments to listen to", head, rows))


def _failures(kinds: Sequence[Kind]) -> str:
    if not kinds:
        return ""
    parts = []
    for status, kind, count, examples in kinds:
        band = "bad" if status == FAILED else "warn"
        rows = []
        for key, result in examples:
            detail = result.traceback or result.run.get("debug", "")
            shown = f"<details><summary>Details</summary><pre>{escape(detail)}</pre></details>" if detail else ""
            rows.append([f"<code>{escape(printable(key))}</code>", escape(result.reason) + shown])
        more = f", the first {len(examples)} here" if count > len(examples) else ""
        parts.append(f'<h3><span class="state {band}">{escape(status)}</span> {escape(kind)}: {count:,}{more}</h3>'
                     + _table("Examples", [("File", True), ("Why", True)], rows))
    return _section("failures", "Failed and skipped", "By kind, most first; all are in files.parquet.", "".join(parts))


def _warnings(summary: Summary) -> str:
    if not summary.warnings:
        return ""
    rows = [[escape(text), f"{count:,}"] for text, count in summary.warnings.most_common(20)]
    return _section("warnings", "Warnings", "Of files that are done all the same.",
                    _table("Files by warning", [("Warning", True), ("Files", False)], rows))


def _slowest(slowest: Sequence[Tuple[str, float, int]]) -> str:
    if not slowest:
        return ""
    rows = [[f"<code>{escape(printable(key))}</code>", f"{seconds:.3f}", f"{duration / 1e9:.1f}",
             f"{seconds * 1e9 / duration:.5f}" if duration else "–"] for key, seconds, duration in slowest]
    head = [("File", True), ("Seconds", False), ("Audio s", False), ("Real-time factor", False)]
    return _section("slowest", "Slowest files", "By the time that a worker had them.", _table("Slowest files", head, rows))


def _elements(nodes: Sequence[Dict[str, Any]]) -> str:
    if not nodes:
        return ""
    rows = [[f'{escape(n["id"])} <span class="dim">{escape(n["type"])}</span>', f"{n['buffers']:,}",
             f"{n['execution_time_ms'] / 1e3:,.2f}",
             *(f"{n[p] * 1e3:.1f}" for p in ("p50_ms", "p95_ms", "p99_ms", "max_ms")),
             "–" if n["real_time_factor"] is None else f"{100 * n['real_time_factor']:.3f}",
             str(n["retries"]), str(n["failures"])] for n in nodes]
    head = [("Element", True), ("Buffers", False), ("Total s", False), ("p50 µs", False), ("p95 µs", False),
            ("p99 µs", False), ("Max µs", False), ("% real time", False), ("Retries", False), ("Failures", False)]
    return _section("elements", "Elements", "Own work of each element over all files; percentiles are medians over "
                    "files. The rest of the time is decoding, set-up and writing.",
                    _table("What each element cost", head, rows))


def _runs(runs: Sequence[Dict[str, Any]]) -> str:
    rows = [[time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(r["started"])), f"{r['seconds']:.1f}", f"{r['files']:,}",
             f"{r['files'] / r['seconds']:.1f}" if r["seconds"] else "–", escape(r["outcome"]),
             f"<code>{escape(r['command'])}</code>"] for r in runs[-50:]]
    head = [("Started", True), ("Seconds", False), ("Files", False), ("Files/s", False), ("Outcome", True),
            ("Command", True)]
    return _section("runs", "Runs", "All runs into this folder; one that was killed has no figures.",
                    _table("Runs", head, rows))


def _settings(options: Dict[str, Any]) -> str:
    rows = [[escape(k.replace("_", "-")), escape("default" if v is None else str(v))] for k, v in options.items() if v != ""]
    return _section("settings", "Settings", "On which all results here depend.",
                    _table("Settings", [("Name", True), ("Value", True)], rows))


def write_page(path: Path, text: str) -> None:
    """Writes the page; names that are no Unicode have been spelled out."""
    path.write_text(text, encoding="utf-8")
