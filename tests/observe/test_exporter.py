"""Prometheus: what is scraped, and that the Grafana dashboard shows all of it."""
import dataclasses
import gc
import json
import re
import time
import unittest
from urllib.request import urlopen

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from support import METRICS, PATIENCE, ROOT, Gst, InFolder, cli

from gstrustaudio import BreakerChange, Metrics, NodeFailure, VadChange, connect, play, stats
from gstrustaudio.exporter import Exporter

DASHBOARD = ROOT / "docs" / "grafana-dashboard.json"
LABELS = ("quantile", "exception", "action")
TIMES = {"timestamp": 0, "stream-time": 0, "running-time": 0}


def scrape(server):
    """Samples by name and labels, and kinds by family."""
    families = list(text_string_to_metric_families(urlopen(server.url, timeout=PATIENCE).read().decode()))
    samples = {(s.name, tuple(sorted(s.labels.items()))): s.value for f in families for s in f.samples}
    return samples, {f.name: f.type for f in families}


def filled():
    """An exporter that has seen every kind of event."""
    exporter = Exporter()
    node = {**METRICS, "element": "p", "factory": "pypipelinenode", "gil-wait": 2_500_000_000, "gil-wait-p99": 1_000_000,
            "breaker-state": "open", "consecutive-failures": 5, "stalled": True, "num-calls": 7, "call-time-p50": 1_000_000,
            "call-time-p95": 2_000_000, "call-time-p99": 3_000_000, "call-time-max": 4_000_000}
    exporter.add(Metrics.from_fields(METRICS), "a")
    exporter.add(Metrics.from_fields(node), "a")
    for speech, duration in [(True, 0), (False, 1_500_000_000), (True, 0)]:
        exporter.add(VadChange.from_fields(
            {"speech": speech, "probability": 0.5, "level": -20.0, "noise-floor": -70.0, **TIMES,
             "duration": duration, "segment": 1, "segment-level": None if speech else -25.0}, "vad0"), "a")
    for n in range(3):
        exporter.add(NodeFailure.from_fields(
            {"attempt": n + 1, "max-attempts": 4, "retryable": True, "exception": 'Odd"\n\\Error', "message": "m",
             "traceback": "t", "file": "f", "line": 1, "action": "retry", **TIMES, "duration": 0}, "p"), "a")
    exporter.add(BreakerChange.from_fields(
        {"state": "open", "previous": "closed", "consecutive-failures": 5, **TIMES, "duration": 0}, "p"), "a")
    return exporter


class Scrape(unittest.TestCase):
    def setUp(self):
        self.exporter = filled()
        self.server = self.exporter.serve(0)
        self.addCleanup(self.server.close)

    def test_values_units_and_labels(self):
        samples, kinds = scrape(self.server)
        vad = (("element", "vad0"), ("factory", "rustvad"), ("pipeline", "a"))
        node = (("element", "p"), ("factory", "pypipelinenode"), ("pipeline", "a"))
        short = (("element", "vad0"), ("pipeline", "a"))
        for name, labels, value in [
            ("buffers_total", vad, 100), ("samples_total", vad, 48000), ("bytes_total", vad, 96000),
            ("dropped_total", vad, 1), ("errors_total", vad, 2), ("retries_total", vad, 3),
            ("timeouts_total", vad, 4), ("skipped_total", vad, 5), ("latency_seconds", vad, 0.03),
            ("processing_time_seconds_sum", vad, 1_234_567 / 1e9), ("processing_time_seconds_count", vad, 100),
            ("processing_time_seconds", vad + (("quantile", "0.5"),), 12e-6),
            ("processing_time_seconds", vad + (("quantile", "0.95"),), 20e-6),
            ("processing_time_seconds", vad + (("quantile", "0.99"),), 30e-6),
            ("processing_time_min_seconds", vad, 1e-6), ("processing_time_max_seconds", vad, 40499e-9),
            ("memory_bytes", vad, 45000), ("real_time_factor", vad, 0.00125), ("stalled", vad, 0), ("stalled", node, 1),
            ("process_peak_rss_bytes", (), 70e6),
            ("status", vad + (("state", "degraded"),), 1), ("status", vad + (("state", "ok"),), 0),
            ("gil_wait_seconds_total", node, 2.5), ("gil_wait_p99_seconds", node, 0.001),
            ("consecutive_failures", node, 5), ("calls_total", node, 7),
            ("call_time_p50_seconds", node, 0.001), ("call_time_p95_seconds", node, 0.002),
            ("call_time_p99_seconds", node, 0.003), ("call_time_max_seconds", node, 0.004),
            ("breaker_state", node + (("state", "open"),), 1), ("breaker_state", node + (("state", "closed"),), 0),
            ("speech", short, 1), ("speech_segments_total", short, 2), ("speech_seconds_total", short, 1.5),
            ("noise_floor_dbfs", short, -70), ("speech_level_dbfs", short, -25),
            ("node_failures_total", (("action", "retry"), ("element", "p"), ("exception", 'Odd"\n\\Error'),
                                     ("pipeline", "a"), ("retryable", "true")), 3),
            ("breaker_changes_total", (("element", "p"), ("pipeline", "a"), ("state", "open")), 1),
        ]:
            key = (f"rustaudio_{name}", tuple(sorted(labels)))
            self.assertIn(key, samples)
            self.assertAlmostEqual(samples[key], value, places=12, msg=name)
        self.assertNotIn(("rustaudio_gil_wait_seconds_total", vad), samples)
        for name, kind in kinds.items():
            wanted = "summary" if name == "rustaudio_processing_time_seconds" else None
            total = any(s == f"{name}_total" for s, _ in samples)
            self.assertEqual(kind, wanted or ("counter" if total else "gauge"), name)

    def test_every_field_is_exposed_but_those_of_one_window(self):
        """Of the times of a window, the mean follows from sum and count."""
        node = {**METRICS, "factory": "pypipelinenode", "gil-wait": 2, "gil-wait-p99": 1, "breaker-state": "open",
                "consecutive-failures": 5, "num-calls": 7, "call-time-p50": 1, "call-time-p95": 2, "call-time-p99": 3,
                "call-time-max": 4, "num-omitted": 3}

        def exposed(metrics):
            exporter = Exporter()
            exporter.add(metrics)
            return generate_latest(exporter.registry)

        metrics = Metrics.from_fields(node)
        other = {"status": "failed", "breaker_state": "closed"}
        hidden = []
        for field in dataclasses.fields(Metrics):
            value = getattr(metrics, field.name)
            if field.name in ("element", "path", "factory", "extra"):
                continue
            changed = not value if isinstance(value, bool) else other.get(field.name, value)
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                changed = value + 1
            if exposed(dataclasses.replace(metrics, **{field.name: changed})) == exposed(metrics):
                hidden.append(field.name)
        self.assertEqual(hidden, ["timestamp", "stream_time", "running_time", "duration", "processing_time_avg",
                                  "last_error", "final"])

    def test_a_pipeline_that_is_forgotten_is_gone(self):
        self.exporter.add(Metrics.from_fields({**METRICS, "element": "other"}), "b")
        self.exporter.forget("a")
        samples, _ = scrape(self.server)
        self.assertEqual({dict(labels)["pipeline"] for _, labels in samples if labels}, {"b"})

    def test_what_left_a_pipeline_that_goes_on_is_forgotten_alone(self):
        for path in ("caller1/vad", "caller1/in/vad", "caller10/vad", "caller1"):
            self.exporter.add(Metrics.from_fields({**METRICS, "path": path}), "p")

        def left():
            samples, _ = scrape(self.server)
            return {dict(labels)["element"] for name, labels in samples
                    if name == "rustaudio_buffers_total" and ("pipeline", "p") in labels}

        self.exporter.forget("p", "caller1")
        self.assertEqual(left(), {"caller10/vad"})
        self.exporter.forget("a", "caller10")
        self.assertEqual(left(), {"caller10/vad"})

    def test_the_last_message_ends_speech_whose_end_a_flush_took(self):
        who = (("element", "vad0"), ("pipeline", "a"))
        self.assertEqual(scrape(self.server)[0]["rustaudio_speech", who], 1)
        self.exporter.add(Metrics.from_fields({**METRICS, "final": False}), "a")
        self.assertEqual(scrape(self.server)[0]["rustaudio_speech", who], 1)
        self.exporter.add(Metrics.from_fields(METRICS), "a")
        self.assertEqual(scrape(self.server)[0]["rustaudio_speech", who], 0)

    def test_listens_on_loopback_alone(self):
        self.assertTrue(self.server.url.startswith("http://127.0.0.1:"))
        self.assertEqual(self.server._server.server_address[0], "127.0.0.1")


class Watch(InFolder):
    """Programs that only sleep: nobody reads their pipelines' buses."""

    def scrape(self, exporter):
        families = text_string_to_metric_families(generate_latest(exporter.registry).decode())
        return {(s.name, s.labels.get("element"), *(v for k, v in sorted(s.labels.items()) if k in LABELS)): s.value
                for f in families for s in f.samples}

    def fed(self, line):
        """A pipeline whose source ``s`` gives what `push` pushes."""
        pipeline = Gst.parse_launch(
            "appsrc name=s format=time is-live=true caps=audio/x-raw,format=S16LE,rate=16000,channels=1,layout=interleaved ! "
            f"{line} ! appsink name=out sync=false")
        self.addCleanup(pipeline.set_state, Gst.State.NULL)
        self.at = 0
        return pipeline

    def push(self, pipeline, count, data=bytes(320)):
        """``count`` buffers of 10 ms, which have all come through."""
        for _ in range(count):
            buffer = Gst.Buffer.new_wrapped(data)
            buffer.pts, buffer.duration = self.at * 10**7, 10**7
            self.at += 1
            pipeline.get_by_name("s").emit("push-buffer", buffer)
        for _ in range(count):
            pipeline.get_by_name("out").emit("pull-sample")

    def test_counters_and_gauges_go_on_where_nobody_reads(self):
        exporter = Exporter()
        pipeline = self.fed("rustaudioconvert name=c metrics-interval=100000000 ! audio/x-raw,format=F32LE")
        exporter.watch(pipeline, "call-17")
        pipeline.set_state(Gst.State.PLAYING)
        self.assertEqual(self.scrape(exporter)["rustaudio_buffers_total", "c"], 0)
        for n in range(1, 6):
            # Windows end, and the one that is open holds five.
            self.push(pipeline, 25)
            now = self.scrape(exporter)
            self.assertEqual(now["rustaudio_buffers_total", "c"], 25 * n)
            self.assertEqual(now["rustaudio_processing_time_seconds_count", "c"], 25 * n)
            self.assertGreater(now["rustaudio_processing_time_max_seconds", "c"], 0)
            self.assertGreater(now["rustaudio_real_time_factor", "c"], 0)
        # One that is open and empty says nothing: the last that was seen goes on.
        before = self.scrape(exporter)["rustaudio_processing_time_seconds", "c", "0.99"]
        self.push(pipeline, 5)
        now = self.scrape(exporter)
        self.assertEqual(now["rustaudio_buffers_total", "c"], 130)
        self.assertGreater(now["rustaudio_processing_time_max_seconds", "c"], 0)
        self.assertGreater(before, 0)
        pipeline.set_state(Gst.State.NULL)
        self.assertEqual(self.scrape(exporter)["rustaudio_buffers_total", "c"], 130)

    def test_a_stall_is_seen_where_nobody_reads(self):
        exporter = Exporter()
        pipeline = self.fed("rustaudioconvert name=c metrics-interval=100000000")
        exporter.watch(pipeline)
        pipeline.set_state(Gst.State.PLAYING)
        self.push(pipeline, 50)
        until = time.monotonic() + PATIENCE
        while not self.scrape(exporter)["rustaudio_stalled", "c"]:
            self.assertLess(time.monotonic(), until)
        self.push(pipeline, 1)
        self.assertEqual(self.scrape(exporter)["rustaudio_stalled", "c"], 0)

    def test_a_pipeline_is_not_kept_and_its_last_figures_are(self):
        exporter = Exporter()
        pipeline = Gst.parse_launch("audiotestsrc num-buffers=50 ! rustaudioconvert name=c ! fakesink")
        gone = pipeline.weak_ref()
        exporter.watch(pipeline, "p")
        pipeline.set_state(Gst.State.PLAYING)
        pipeline.get_bus().timed_pop_filtered(PATIENCE * Gst.SECOND, Gst.MessageType.EOS)
        self.scrape(exporter)
        pipeline.set_state(Gst.State.NULL)
        del pipeline
        gc.collect()
        self.assertIsNone(gone())
        self.assertEqual(self.scrape(exporter)["rustaudio_buffers_total", "c"], 50)
        self.assertEqual(exporter._watched, [])
        exporter.forget("p")
        self.assertNotIn(("rustaudio_buffers_total", "c"), self.scrape(exporter))

    def test_bins_of_one_pipeline_are_watched_and_forgotten_each_by_itself(self):
        exporter, whole = Exporter(), Exporter()
        pipeline = Gst.Pipeline.new("p")
        self.addCleanup(pipeline.set_state, Gst.State.NULL)
        for i in range(2):
            bin = Gst.parse_bin_from_description(f"audiotestsrc num-buffers={30 + i} ! rustaudioconvert name=c ! fakesink", False)
            bin.set_name(f"caller{i}")
            with self.assertRaisesRegex(ValueError, f"caller{i} has no bus"):
                exporter.watch(bin)
            pipeline.add(bin)
            exporter.watch(bin, f"call-{i}")
        whole.watch(pipeline, "w")
        pipeline.set_state(Gst.State.PLAYING)
        pipeline.get_bus().timed_pop_filtered(PATIENCE * Gst.SECOND, Gst.MessageType.EOS)
        count = re.compile(r'rustaudio_buffers_total{element="(\S+)",factory="rustaudioconvert",pipeline="(\S+)"} (\S+)')
        counted = lambda e: set(count.findall(generate_latest(e.registry).decode()))  # noqa: E731
        self.assertEqual(counted(exporter), {("c", "call-0", "30.0"), ("c", "call-1", "31.0")})
        self.assertEqual(counted(whole), {("caller0/c", "w", "30.0"), ("caller1/c", "w", "31.0")})
        exporter.forget("call-0")
        self.assertEqual(counted(exporter), {("c", "call-1", "31.0")})
        left = pipeline.get_by_name("caller0")
        left.set_state(Gst.State.NULL)
        pipeline.remove(left)
        whole.forget("w", "caller0")
        self.assertEqual(counted(whole), {("caller1/c", "w", "31.0")})

    def test_failures_that_no_message_tells_of_are_counted(self):
        exporter = Exporter()
        module = self.node("bad.py", "class Bad:\n    def process(self, audio, ctx):\n        raise ValueError(1)\n")
        pipeline = self.fed(f"pypipelinenode name=n module={module} class=Bad max-retries=0 breaker-threshold=0")
        exporter.watch(pipeline)
        pipeline.set_state(Gst.State.PLAYING)

        def failures():
            now = self.scrape(exporter)
            found = {key[3]: v for key, v in now.items() if key[0] == "rustaudio_node_failures_total"}
            self.assertEqual(sum(found.values()), now["rustaudio_errors_total", "n"])
            return found

        self.push(pipeline, 130)
        self.assertEqual(failures(), {"ValueError": 100, "omitted": 30})
        # The next one that is read tells of those before it.
        bus = pipeline.get_bus()
        while bus.pop() is not None:
            pass
        self.push(pipeline, 20)
        self.assertEqual(failures(), {"ValueError": 120, "omitted": 30})
        self.push(pipeline, 90)
        self.assertEqual(failures(), {"ValueError": 200, "omitted": 40})
        # What is started anew counts from none; what was counted here stays.
        pipeline.set_state(Gst.State.READY)
        pipeline.set_state(Gst.State.PLAYING)
        self.at = 0
        self.push(pipeline, 1)
        found = self.scrape(exporter)
        self.assertEqual(sum(v for key, v in found.items() if key[0] == "rustaudio_node_failures_total"), 241)

    def test_speech_ends_with_a_flush_a_stop_and_the_last_message(self):
        watching, hearing = Exporter(), Exporter()
        loud = b"\0\x40" * 160
        pipeline = self.fed("rustvad name=v detector=energy data-timeout=0")
        watching.watch(pipeline)
        disconnect = connect(pipeline.get_bus(), hearing.add, sync=True)
        self.addCleanup(disconnect)
        pipeline.set_state(Gst.State.PLAYING)
        vad = pipeline.get_by_name("v")

        def speak(heard):
            for _ in range(50):
                self.push_held(pipeline, loud)
            until = time.monotonic() + PATIENCE
            while stats(vad).num_buffers < heard or not vad.get_property("speech"):
                self.assertLess(time.monotonic(), until)

        def shown(exporter):
            now = self.scrape(exporter)
            return [now[f"rustaudio_speech{name}", "v"] for name in ("", "_segments_total", "_seconds_total")]

        speak(50)
        for exporter in (watching, hearing):
            self.assertEqual(shown(exporter), [1, 1, 0])
        source = pipeline.get_by_name("s")
        source.send_event(Gst.Event.new_flush_start())
        source.send_event(Gst.Event.new_flush_stop(True))
        self.assertEqual(shown(watching), [0, 1, 0], "a flush ends it, and tells no end")
        self.at = 0
        speak(100)
        self.assertEqual(shown(watching)[:2], [1, 2])
        pipeline.set_state(Gst.State.NULL)
        for exporter in (watching, hearing):
            speaks, count, seconds = shown(exporter)
            self.assertEqual((speaks, count), (0, 2))
            self.assertEqual(seconds, 0.5)

    def push_held(self, pipeline, data):
        """As `push`, of what the element may hold."""
        buffer = Gst.Buffer.new_wrapped(data)
        buffer.pts, buffer.duration = self.at * 10**7, 10**7
        self.at += 1
        pipeline.get_by_name("s").emit("push-buffer", buffer)


class Serve(unittest.TestCase):
    def test_addresses_of_both_families(self):
        for address, url in [("::1", r"http://\[::1\]:\d+/metrics"), ("::", r"http://\[::1\]:\d+/metrics"),
                             ("", r"http://127.0.0.1:\d+/metrics"), ("0.0.0.0", r"http://127.0.0.1:\d+/metrics"),
                             ("localhost", r"http://127.0.0.1:\d+/metrics")]:
            with self.subTest(address):
                server = Exporter().serve(0, address)
                try:
                    self.assertRegex(server.url, f"^{url}$")
                    self.assertEqual(urlopen(server.url, timeout=PATIENCE).status, 200)
                    if address == "::":
                        other = f"http://127.0.0.1:{server.port}/metrics"
                        self.assertEqual(urlopen(other, timeout=PATIENCE).status, 200)
                finally:
                    server.close()

    def test_where_nothing_can_listen_is_an_error(self):
        for address in ("192.0.2.1", "2001:db8::1", "no such name"):
            with self.assertRaises(OSError):
                Exporter().serve(0, address)
            done = cli("run", "--prometheus", "0", "--address", address, "--", "audiotestsrc", "!", "fakesink")
            self.assertEqual((done.returncode, done.stderr.count("\n")), (2, 1), done.stderr)


class Live(InFolder):
    def test_counters_of_a_real_run(self):
        exporter = Exporter()
        server = exporter.serve(0)
        self.addCleanup(server.close)
        pipeline = Gst.parse_launch(
            "audiotestsrc num-buffers=200 samplesperbuffer=480 ! audio/x-raw,rate=48000,channels=2,format=S16LE ! "
            "rustaudioconvert name=c ! audio/x-raw,format=F32LE ! rustresample name=r ! audio/x-raw,rate=16000 ! fakesink")
        disconnect = connect(pipeline.get_bus(), lambda e: exporter.add(e, "run"), sync=True)
        final = {e.element: e for e in play(pipeline, PATIENCE) if e.final}
        disconnect()
        samples, _ = scrape(server)
        for name, factory in (("c", "rustaudioconvert"), ("r", "rustresample")):
            labels = (("element", name), ("factory", factory), ("pipeline", "run"))
            self.assertEqual(samples["rustaudio_buffers_total", labels], 200)
            self.assertEqual(samples["rustaudio_samples_total", labels], 96000)
            self.assertEqual(samples["rustaudio_bytes_total", labels], final[name].num_bytes)
            self.assertAlmostEqual(samples["rustaudio_processing_time_seconds_sum", labels],
                                   final[name].processing_time / 1e9)


class Dashboard(unittest.TestCase):
    def setUp(self):
        self.dashboard = json.loads(DASHBOARD.read_text())
        self.panels = self.dashboard["panels"]
        self.exprs = [t["expr"] for p in self.panels for t in p.get("targets", [])]

    def test_shows_every_metric_and_none_that_is_not_there(self):
        server = filled().serve(0)
        self.addCleanup(server.close)
        samples, _ = scrape(server)
        exposed = {name for name, _ in samples}
        shown = {name for e in self.exprs for name in re.findall(r"rustaudio_\w+", e)}
        self.assertEqual(shown - exposed, set())
        self.assertEqual(exposed - shown, set())

    def test_labels_and_variables_exist(self):
        server = filled().serve(0)
        self.addCleanup(server.close)
        samples, _ = scrape(server)
        labels = {}
        for name, pairs in samples:
            labels.setdefault(name, set()).update(k for k, _ in pairs)
        variables = {v["name"] for v in self.dashboard["templating"]["list"]} | {"__rate_interval"}
        for expr in self.exprs:
            for name, matchers in re.findall(r"(rustaudio_\w+)\{([^}]*)\}", expr):
                used = set(re.findall(r"(\w+)\s*(?:=~|!=|=)", matchers))
                self.assertLessEqual(used, labels[name], expr)
            self.assertLessEqual(set(re.findall(r"\$(\w+)", expr)), variables, expr)
            self.assertEqual(expr.count("("), expr.count(")"), expr)

    def test_counters_are_shown_as_rates(self):
        for expr in self.exprs:
            for name in re.findall(r"rustaudio_\w+_total", expr):
                self.assertIn(f"rate({name}", expr)

    def test_panels_have_ids_of_their_own_and_do_not_overlap(self):
        ids = [p["id"] for p in self.panels]
        self.assertEqual(len(ids), len(set(ids)))
        taken = set()
        for p in self.panels:
            at = p["gridPos"]
            self.assertLessEqual(at["x"] + at["w"], 24)
            cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
            self.assertFalse(cells & taken, p["title"])
            taken |= cells


if __name__ == "__main__":
    unittest.main()
