# SPDX-License-Identifier: MIT
"""Prometheus metrics of running pipelines.

    exporter = Exporter()
    exporter.serve(9464)                      # http://127.0.0.1:9464/metrics
    exporter.watch(pipeline, "call-17")

Counters are the elements' own totals since READY, times are in seconds. Labels: ``pipeline`` (as
the application names it), ``element`` (its path: ``vad``, in a bin of its own ``caller1/vad``), ``factory``."""
from __future__ import annotations

import socket
import threading
from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple, Type
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    SummaryMetricFamily,
)
from prometheus_client.exposition import ThreadingWSGIServer

from .known import Known, label
from .messages import Event, Metrics

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


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


class _Server6(ThreadingWSGIServer):
    address_family = socket.AF_INET6

    def server_bind(self) -> None:
        if self.server_address[0] == "::":
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


def _listening(address: str, port: int) -> Tuple[str, Type[ThreadingWSGIServer]]:
    """Address and class of the server that listens on ``address``: of IPv4, where a name has addresses of both."""
    found = socket.getaddrinfo(address or "0.0.0.0", port, type=socket.SOCK_STREAM)
    family, *_, where = min(found, key=lambda one: one[0] != socket.AF_INET)
    return str(where[0]), _Server6 if family == socket.AF_INET6 else ThreadingWSGIServer


class Server:
    """A running metrics endpoint."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self.port: int = server.server_port
        host = server.server_address[0]
        # What stands for every address is none that could be asked.
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host).replace("%", "%25")
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self.port}/metrics"
        self._thread = threading.Thread(
            target=server.serve_forever, args=(0.05,), name="metrics", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


#: Pipeline and path of an element.
_Who = Tuple[str, str]
#: Labels of failures that no message told of, and whose exception is not known for that.
_OMITTED = ("omitted", "unknown", "unknown")


@dataclass(eq=False)
class _Watch:
    """A bin that is asked at each scrape."""

    pipeline: str
    #: A weak reference.
    bin: Callable[[], Any]
    #: What the paths of its elements begin with.
    prefix: str
    disconnect: Callable[[], None]


class Exporter:
    """Keeps the last metrics of each element for Prometheus; may be called by any thread."""

    def __init__(self, registry: Any = None) -> None:
        self.registry = CollectorRegistry() if registry is None else registry
        self._lock = threading.Lock()
        self._known: Dict[_Who, Known] = defaultdict(Known)
        self._watched: List[_Watch] = []
        self.registry.register(self)

    def watch(self, bin: Any, pipeline: str = "") -> None:
        """Has each scrape ask the elements in ``bin``, a pipeline or a bin in one, what they do, whether anybody
        reads the bus or not; what they tell in messages is counted at once, by the threads that post. ``pipeline``
        is the name that tells it apart; elements are named from ``bin`` on.

        ``bin`` is not kept alive. What is known of it stays until `forget`. A bin is to be in its pipeline already;
        ``ValueError`` where it is not. Needs PyGObject."""
        from . import live

        outermost = bin
        while outermost.get_parent() is not None:
            outermost = outermost.get_parent()
        bus = outermost.get_bus()
        if bus is None:
            raise ValueError(f"{bin.get_name()} has no bus: put it into its pipeline first")
        disconnect = live.connect(bus, lambda event: self.add(event, pipeline), sync=True, below=bin)
        with self._lock:
            self._watched.append(_Watch(pipeline, bin.weak_ref(), live.prefix_of(bin), disconnect))

    def add(self, event: Event, pipeline: str = "") -> None:
        """Takes up ``event`` of ``pipeline``, a name that tells pipelines of one process apart. Of a bus that nobody
        reads one window comes and no more, which `watch` does better."""
        with self._lock:
            self._known[label(pipeline), label(event.path)].add(event)

    def forget(self, pipeline: str, below: str = "") -> None:
        """Drops what is kept of ``pipeline``, as when a client of a media server is gone, and watches it no more. Where
        ``below`` is the path of a bin or an element that has left a pipeline which goes on, what is kept of that."""
        gone = label(below)
        with self._lock:
            ended = [w for w in self._watched if not below and w.pipeline == pipeline]
            self._watched = [w for w in self._watched if w not in ended]
            for who in [who for who in self._known if who[0] == label(pipeline)]:
                if not below or who[1] == gone or who[1].startswith(f"{gone}/"):
                    del self._known[who]
        for watch in ended:
            watch.disconnect()

    def _ask(self) -> None:
        """Has the elements that are watched say what they do."""
        with self._lock:
            watched = list(self._watched)
        if not watched:
            return
        from . import live

        for watch in watched:
            bin = watch.bin()
            if bin is None:
                with self._lock:
                    ended = watch in self._watched
                    if ended:
                        self._watched.remove(watch)
                if ended:
                    watch.disconnect()
                continue
            for element in live.own_elements(bin):
                path = live.path_of(element)
                # One that left meanwhile does not lie there.
                if path.startswith(watch.prefix):
                    self._ask_one(watch, path[len(watch.prefix):], element, live.stats)

    def _ask_one(self, watch: _Watch, path: str, element: Any, stats: Callable[[Any], Metrics]) -> None:
        who = (label(watch.pipeline), label(path))
        with self._lock:
            events = self._known[who].events
        now = stats(element)
        speech = None
        if now.factory == "rustvad":
            speech = (element.get_property("speech"), element.get_property("noise-floor"))
        with self._lock:
            # What it said while it was asked is newer; and it may have been forgotten.
            known = self._known.get(who)
            if watch in self._watched and known is not None and known.events == events:
                known.ask(now, speech)

    def serve(self, port: int, address: str = "127.0.0.1") -> Server:
        """Serves ``/metrics`` from a thread of its own; port 0 takes any free one. ``address`` is a name or an address
        of either family; ``::`` is every one of the machine, and ``""`` or ``0.0.0.0`` every one of IPv4. ``OSError``
        where nothing can listen there."""
        app = make_wsgi_app(self.registry)
        host, kind = _listening(address, port)
        return Server(make_server(host, port, app, kind, _QuietHandler))

    def describe(self) -> Iterator[Any]:
        """Nothing is known before the first message."""
        return iter(())

    def collect(self) -> Iterator[Any]:
        """The families, for prometheus_client."""
        self._ask()
        with self._lock:
            known = sorted(self._known.items())
            latest = [([*who, label(k.latest.factory)], k.latest) for who, k in known if k.latest is not None]
            families = [*_speech(known), *_told(known)]
        yield from _elements(latest)
        yield from _nodes(latest)
        yield from families


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


def _speech(known: List[Tuple[_Who, Known]]) -> Iterator[Any]:
    active = GaugeMetricFamily("rustaudio_speech", "1: somebody speaks", labels=_VAD)
    floor = GaugeMetricFamily("rustaudio_noise_floor_dbfs", "Noise floor", labels=_VAD)
    level = GaugeMetricFamily("rustaudio_speech_level_dbfs", "Level of the last segment of speech", labels=_VAD)
    count = CounterMetricFamily("rustaudio_speech_segments", "Segments of speech that began", labels=_VAD)
    seconds = CounterMetricFamily("rustaudio_speech_seconds", "Speech in segments that ended", labels=_VAD)
    for who, k in known:
        if k.speech is not None:
            active.add_metric(list(who), k.speech[0])
            floor.add_metric(list(who), k.speech[1])
            count.add_metric(list(who), k.segments)
            seconds.add_metric(list(who), k.spoken / _S)
        if k.level is not None:
            level.add_metric(list(who), k.level)
    yield from (active, floor, level, count, seconds)


def _told(known: List[Tuple[_Who, Known]]) -> Iterator[Any]:
    """What is counted from messages of Python nodes."""
    failures = CounterMetricFamily(
        "rustaudio_node_failures", "Failed calls of Python nodes", labels=[*_VAD, "exception", "retryable", "action"])
    breakers = CounterMetricFamily(
        "rustaudio_breaker_changes", "Changes of the circuit breaker, by the state it took", labels=[*_VAD, "state"])
    for who, k in known:
        for kind, n in k.failures.items():
            failures.add_metric([*who, *kind], n)
        if k.omitted + k.untold:
            failures.add_metric([*who, *_OMITTED], k.omitted + k.untold)
        for state, n in k.breakers.items():
            breakers.add_metric([*who, state], n)
    yield from (failures, breakers)
