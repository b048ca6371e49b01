# SPDX-License-Identifier: MIT
"""The report's drawings, as SVG text. Colours come from the page's style sheet by class; times are
in ns, x grows with them over `WIDTH` units."""
from __future__ import annotations

import math
from html import escape
from typing import Iterable, List, Sequence, Tuple

WIDTH = 1000
#: Room for labels left of the drawing.
LEFT = 60


def seconds(ns: float, digits: int = 3) -> str:
    return f"{ns / 1e9:.{digits}f}"


def duration(ns: float) -> str:
    """``ns`` in the unit that suits it."""
    for unit, scale in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if ns >= scale:
            return f"{ns / scale:.3g} {unit}" if ns < 1000 * scale else f"{ns / scale:.0f} {unit}"
    return f"{ns:.0f} ns"


def nice_step(span: float, ticks: int) -> float:
    """A step of 1, 2 or 5 times a power of ten that gives about ``ticks`` of them in ``span``."""
    raw = span / max(ticks, 1)
    if raw <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(raw))
    for factor in (1, 2, 5):
        if raw <= factor * power:
            return factor * power
    return 10 * power


def drawing(body: Iterable[str], height: float, name: str, title: str, text: str) -> str:
    """A drawing with a name for who does not see it."""
    return (
        f'<svg viewBox="0 0 {LEFT + WIDTH + 10} {height:g}" role="img" '
        f'aria-labelledby="{name}-title {name}-desc">'
        f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-desc">{escape(text)}</desc>'
        + "".join(body)
        + "</svg>"
    )


class TimeAxis:
    """Where times lie."""

    def __init__(self, span: int) -> None:
        self.span = max(span, 1)

    def x(self, ns: float) -> float:
        return LEFT + WIDTH * min(max(ns / self.span, 0.0), 1.0)

    def ticks(self, top: float, bottom: float) -> List[str]:
        """Lines from ``top`` to ``bottom`` with their times below."""
        step = nice_step(self.span / 1e9, 10)
        digits = max(0, -math.floor(math.log10(step)))
        out = []
        for i in range(int(self.span / 1e9 / step + 1e-9) + 1):
            x = self.x(i * step * 1e9)
            out.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top:g}" y2="{bottom:g}"/>')
            out.append(
                f'<text class="tick" x="{x:.1f}" y="{bottom + 16:g}" text-anchor="middle">'
                f"{i * step:.{digits}f} s</text>"
            )
        return out


def envelope(axis: TimeAxis, peaks: Sequence[Tuple[float, float]], width: int, top: float, height: float) -> str:
    """The waveform, ``width`` ns a stretch, scaled to its own peak."""
    full = max((max(-low, high) for low, high in peaks), default=0.0) or 1.0
    middle = top + height / 2

    def y(v: float) -> float:
        return middle - v / full * height / 2

    upper = [f"{axis.x((i + 0.5) * width):.1f},{y(high):.1f}" for i, (_, high) in enumerate(peaks)]
    lower = [f"{axis.x((i + 0.5) * width):.1f},{y(low):.1f}" for i, (low, _) in enumerate(peaks)]
    return (
        f'<polygon class="wave" points="{" ".join(upper + lower[::-1])}"/>'
        f'<text class="tick" x="{LEFT - 8}" y="{top + 10:g}" text-anchor="end">'
        f"{20 * math.log10(full):.0f} dBFS</text>"
    )


def sparkline(axis: TimeAxis, points: Sequence[Tuple[int, float]], top: float, height: float, limit: float) -> str:
    """``points`` (time, value up to ``limit``) as a line; of many, the highest of neighbours."""
    step = max(1, math.ceil(len(points) / 400))
    kept = [max(points[i : i + step], key=lambda p: p[1]) for i in range(0, len(points), step)]
    at = [(axis.x(t), top + height * (1 - v / (limit or 1.0))) for t, v in kept]
    if len(at) == 1:
        return f'<circle class="dot" cx="{at[0][0]:.1f}" cy="{at[0][1]:.1f}" r="3"/>'
    return '<polyline class="line" points="' + " ".join(f"{x:.1f},{y:.1f}" for x, y in at) + '"/>'
