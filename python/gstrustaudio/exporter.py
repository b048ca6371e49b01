# SPDX-License-Identifier: MIT
"""Prometheus metrics from bus messages.

    exporter = Exporter()
    exporter.serve(9464)                      # http://127.0.0.1:9464/metrics
    connect(pipeline.get_bus(), exporter.add)

Counters are the elements' own totals since READY, times are in seconds. Labels: ``pipeline`` (as
the application names it), ``element``, ``factory``."""
from __future__ import annotations

import threading
from collections import defaultdict
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    SummaryMetricFamily,
)
from prometheus_client.exposition import ThreadingWSGIServer

from .messages import BreakerChange, Event, Metrics, NodeFailure, VadChange

_S = 1e9
_STATUSES = ("ok", "degraded", "skipping", "failed")
_BREAKER = ("closed", "open", "half-open")
_WHO = ["pipeline", "element", "factory"]
_VAD = ["pipeline", "element"]

_COUNTERS: List[Tuple[str, str, Callable[[Metrics], float]]] = [
    ("buffers", "Buffers processed", lambda m: m.num_buffers),
    ("samples", "Frames processed, whatever the number of channels", lambda m: m.num_samples),
    ("bytes", "Bytes processed", lambda m: m.num_bytes),
    ("dropped", "Buffers dropped", lambda m: m.num_dropped),
    ("errors", "Failed calls and other errors", lambda m: m.num_errors),
    ("retries", "Calls made again after an error", lambda m: m.num_retries),
    ("timeouts", "Calls that took too long", lambda m: m.num_timeouts),
    ("skipped", "Calls not made: the breaker was open or the deadline over", lambda m: m.num_skipped),
]
_GAUGES: List[Tuple[str, str, Callable[[Metrics], float]]] = [
    ("processing_time_min_seconds", "Shortest own work on a buffer in the last window",
     lambda m: m.processing_time_min / _S),
    ("processing_time_max_seconds", "Longest own work on a buffer in the last window",
     lambda m: m.processing_time_max / _S),
    ("real_time_factor", "Own work over media time in the last window (1 = one core)",
     lambda m: m.real_time_factor),
    ("latency_seconds", "Latency of the element", lambda m: m.latency / _S),
    ("memory_bytes", "Memory held by the element", lambda m: m.memory),
    ("stalled", "1: no buffer came for a whole metrics interval", lambda m: m.stalled),
]
_CALL_TIMES: List[Tuple[str, str, Callable[[Metrics], Optional[int]]]] = [
    ("p50", "Median time of a call", lambda m: m.call_time_p50),
    ("p95", "95th percentile of the time of a call", lambda m: m.call_time_p95),
    ("p99", "99th percentile of the time of a call", lambda m: m.call_time_p99),
    ("max", "Longest call", lambda m: m.call_time_max),
]


def _label(text: str) -> str:
    """``text`` as it can be encoded: half a surrogate, as in names of files, would leave nothing to be scraped."""
    return text.encode("utf-8", "backslashreplace").decode()


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


class Server:
    """A running metrics endpoint."""

    def __init__(self, server: Any, address: str) -> None:
        self._server = server
        self.port: int = server.server_port
        self.url = f"http://{f'[{address}]' if ':' in address else address}:{self.port}/metrics"
        self._thread = threading.Thread(
            target=server.serve_forever, args=(0.05,), name="metrics", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Exporter:
    """Keeps the last metrics of each element for Prometheus; `add` may be called by any thread."""

    def __init__(self, registry: Any = None) -> None:
        self.registry = CollectorRegistry() if registry is None else registry
        self._lock = threading.Lock()
        self._latest: Dict[Tuple[str, str], Metrics] = {}
        self._speech: Dict[Tuple[str, str], VadChange] = {}
        self._levels: Dict[Tuple[str, str], float] = {}
        self._segments: Dict[Tuple[str, str], int] = defaultdict(int)
        self._spoken: Dict[Tuple[str, str], int] = defaultdict(int)
        self._failures: Dict[Tuple[str, str, str, str, str], int] = defaultdict(int)
        self._breakers: Dict[Tuple[str, str, str], int] = defaultdict(int)
        self.registry.register(self)

    def add(self, event: Event, pipeline: str = "") -> None:
        """Takes up ``event`` of ``pipeline``, a name that tells pipelines of one process apart."""
        who = (_label(pipeline), _label(event.element))
        with self._lock:
            if isinstance(event, Metrics):
                self._latest[who] = event
            elif isinstance(event, VadChange):
                self._speech[who] = event
                if event.speech:
                    self._segments[who] += 1
                else:
                    self._spoken[who] += event.duration
                if event.segment_level is not None:
                    self._levels[who] = event.segment_level
            elif isinstance(event, NodeFailure):
                kind = (_label(event.exception), "true" if event.retryable else "false", _label(event.action))
                self._failures[who + kind] += 1
            elif isinstance(event, BreakerChange):
                self._breakers[who + (_label(event.state),)] += 1

    def forget(self, pipeline: str) -> None:
        """Drops what is kept of ``pipeline``, as when a client of a media server is gone."""
        with self._lock:
            kept: List[Dict[Any, Any]] = [self._latest, self._speech, self._levels, self._segments, self._spoken,
                                          self._failures, self._breakers]
            for by_key in kept:
                for key in [k for k in by_key if k[0] == _label(pipeline)]:
                    del by_key[key]

    def serve(self, port: int, address: str = "127.0.0.1") -> Server:
        """Serves ``/metrics`` from a thread of its own; port 0 takes any free one."""
        app = make_wsgi_app(self.registry)
        return Server(make_server(address, port, app, ThreadingWSGIServer, _QuietHandler), address)

    def describe(self) -> Iterator[Any]:
        """Nothing is known before the first message."""
        return iter(())

    def collect(self) -> Iterator[Any]:
        """The families, for prometheus_client."""
        with self._lock:
            latest = [([p, e, _label(m.factory)], m) for (p, e), m in sorted(self._latest.items())]
            speech, segments, spoken = dict(self._speech), dict(self._segments), dict(self._spoken)
            levels = dict(self._levels)
            failures, breakers = dict(self._failures), dict(self._breakers)
        yield from _elements(latest)
        yield from _nodes(latest)
        yield from _speech_families(speech, levels, segments, spoken)
        counter = CounterMetricFamily(
            "rustaudio_node_failures", "Failed calls of Python nodes",
            labels=[*_VAD, "exception", "retryable", "action"])
        for key, n in failures.items():
            counter.add_metric(list(key), n)
        yield counter
        counter = CounterMetricFamily(
            "rustaudio_breaker_changes", "Changes of the circuit breaker, by the state it took",
            labels=[*_VAD, "state"])
        for key3, n in breakers.items():
            counter.add_metric(list(key3), n)
        yield counter


def _elements(latest: List[Tuple[List[str], Metrics]]) -> Iterator[Any]:
    for name, text, value in _COUNTERS:
        counter = CounterMetricFamily(f"rustaudio_{name}", text, labels=_WHO)
        for labels, m in latest:
            counter.add_metric(labels, value(m))
        yield counter
    summary = SummaryMetricFamily(
        "rustaudio_processing_time_seconds",
        "Own work per buffer: quantiles of the last window, sum and count since READY", labels=_WHO)
    for labels, m in latest:
        who = dict(zip(_WHO, labels))
        for quantile, ns in (("0.5", m.processing_time_p50), ("0.95", m.processing_time_p95),
                             ("0.99", m.processing_time_p99)):
            summary.add_sample(summary.name, {**who, "quantile": quantile}, ns / _S)
        summary.add_metric(labels, count_value=m.num_buffers, sum_value=m.processing_time / _S)
    yield summary
    for name, text, value in _GAUGES:
        gauge = GaugeMetricFamily(f"rustaudio_{name}", text, labels=_WHO)
        for labels, m in latest:
            gauge.add_metric(labels, value(m))
        yield gauge
    yield _states("rustaudio_status", "What the element says of its work", _STATUSES,
                  [(labels, m.status) for labels, m in latest])
    gauge = GaugeMetricFamily("rustaudio_process_peak_rss_bytes", "Peak RSS of the process")
    if latest:
        gauge.add_metric([], max(m.process_peak_rss for _, m in latest))
    yield gauge


def _nodes(latest: List[Tuple[List[str], Metrics]]) -> Iterator[Any]:
    counter = CounterMetricFamily(
        "rustaudio_gil_wait_seconds", "Waited for Python's interpreter lock", labels=_WHO)
    p99 = GaugeMetricFamily(
        "rustaudio_gil_wait_p99_seconds", "99th percentile of the wait for the interpreter lock",
        labels=_WHO)
    made = CounterMetricFamily(
        "rustaudio_calls", "Calls of Python nodes, each attempt counted", labels=_WHO)
    times = [
        (GaugeMetricFamily(f"rustaudio_call_time_{name}_seconds", f"{text} since READY, without waits",
                           labels=_WHO), value)
        for name, text, value in _CALL_TIMES
    ]
    consecutive = GaugeMetricFamily(
        "rustaudio_consecutive_failures", "Calls that failed one after the other", labels=_WHO)
    for labels, m in latest:
        if m.gil_wait is not None:
            counter.add_metric(labels, m.gil_wait / _S)
        if m.gil_wait_p99 is not None:
            p99.add_metric(labels, m.gil_wait_p99 / _S)
        if m.consecutive_failures is not None:
            consecutive.add_metric(labels, m.consecutive_failures)
        if m.num_calls is not None:
            made.add_metric(labels, m.num_calls)
            for gauge, value in times:
                gauge.add_metric(labels, (value(m) or 0) / _S)
    yield from (counter, p99, consecutive, made, *(gauge for gauge, _ in times))
    yield _states("rustaudio_breaker_state", "State of the circuit breaker", _BREAKER,
                  [(labels, m.breaker_state) for labels, m in latest if m.breaker_state is not None])


def _states(name: str, text: str, states: Tuple[str, ...], now: List[Tuple[List[str], str]]) -> Any:
    """1 for the state that holds, 0 for the others."""
    family = GaugeMetricFamily(name, text, labels=[*_WHO, "state"])
    for labels, state in now:
        for s in states:
            family.add_metric([*labels, s], s == state)
    return family


def _speech_families(
    speech: Dict[Tuple[str, str], VadChange],
    levels: Dict[Tuple[str, str], float],
    segments: Dict[Tuple[str, str], int],
    spoken: Dict[Tuple[str, str], int],
) -> Iterator[Any]:
    active = GaugeMetricFamily("rustaudio_speech", "1: somebody speaks", labels=_VAD)
    floor = GaugeMetricFamily("rustaudio_noise_floor_dbfs", "Noise floor at the last change", labels=_VAD)
    level = GaugeMetricFamily("rustaudio_speech_level_dbfs", "Level of the last segment of speech", labels=_VAD)
    for key, change in speech.items():
        active.add_metric(list(key), change.speech)
        floor.add_metric(list(key), change.noise_floor)
    for key, dbfs in levels.items():
        level.add_metric(list(key), dbfs)
    count = CounterMetricFamily("rustaudio_speech_segments", "Segments of speech that began", labels=_VAD)
    for key, n in segments.items():
        count.add_metric(list(key), n)
    seconds = CounterMetricFamily("rustaudio_speech_seconds", "Speech in segments that ended", labels=_VAD)
    for key, ns in spoken.items():
        seconds.add_metric(list(key), ns / _S)
    yield from (active, floor, level, count, seconds)
