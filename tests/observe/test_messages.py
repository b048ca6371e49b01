"""The dataclasses, and both ways in which messages come: structures and text."""
import contextlib
import dataclasses
import json
import math
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

from support import METRICS, PATIENCE, ROOT, Gst, GObject, environment, structure

import gstrustaudio
from gstrustaudio.document import pipeline_document
from gstrustaudio.messages import MESSAGES, SegmentJoiner, _layout, structure_of
from gstrustaudio.text import TextError, parse_structure, read_launch_output

TIMES = {"timestamp": 5 * 10**8, "stream-time": 2**64 - 1, "running-time": 5 * 10**8}
VAD = {"speech": True, "probability": 0.75, "level": -20.5, "noise-floor": -70.0, **TIMES,
       "duration": 0, "segment": 3, "timed-out": False, "segment-level": -25.5}
FAILURE = {"attempt": 1, "max-attempts": 4, "retryable": True, "exception": "TimeoutError",
           "message": 'zu spät "heute"; a=(int)3, b', "file": "a.py", "line": 3, "action": "retry", **TIMES,
           "traceback": 'Traceback:\n  File "a.py", line 3\n\tcafé \\ {x: [1, 2]}\n', "duration": 10,
           "num-omitted": 7}
SAMPLES = {
    "rustaudio-metrics": METRICS,
    "rustvad": VAD,
    "rustvad-frame": {k: v for k, v in VAD.items() if k not in ("segment", "timed-out", "segment-level")},
    "pypipelinenode-failure": FAILURE,
    "pypipelinenode-breaker": {"state": "open", "previous": "closed", "consecutive-failures": 5, **TIMES,
                               "duration": 0},
    "pypipelinenode-reload": {"file": "a.py", "success": False, "message": "bad", "traceback": "T\n"},
}


class Dataclasses(unittest.TestCase):
    def test_every_message_is_read_with_every_field(self):
        self.assertEqual(set(SAMPLES), set(MESSAGES))
        for name, fields in SAMPLES.items():
            with self.subTest(name):
                event = MESSAGES[name].from_structure(structure(name, fields), "who")
                self.assertEqual(event.element, fields.get("element", "who"))
                self.assertEqual(dict(event.extra), {})
                for field, value in fields.items():
                    wanted = None if value == 2**64 - 1 else value
                    self.assertEqual(getattr(event, field.replace("-", "_")), wanted, field)

    def test_json_has_the_names_of_the_bus_and_round_trips(self):
        for name, fields in SAMPLES.items():
            with self.subTest(name):
                event = MESSAGES[name].from_fields(fields, "who")
                shown = json.loads(event.to_json())
                wanted = {k: None if v == 2**64 - 1 else v for k, v in fields.items()}
                element = fields.get("element", "who")
                self.assertEqual(shown, {"element": element, "path": element, **wanted})
                self.assertEqual(MESSAGES[name].from_json(event.to_json()), event)

    def test_are_frozen_and_hashable(self):
        event = gstrustaudio.Metrics.from_fields(METRICS)
        with self.assertRaises(dataclasses.FrozenInstanceError):
            event.latency = 1
        self.assertEqual(len({event, gstrustaudio.Metrics.from_fields(METRICS)}), 1)

    def test_fields_of_a_newer_plugin_are_kept(self):
        event = gstrustaudio.Metrics.from_fields({**METRICS, "num-new": 9})
        self.assertEqual(event.extra, {"num-new": 9})
        self.assertEqual(json.loads(event.to_json())["num-new"], 9)

    def test_fields_of_single_elements_are_optional(self):
        event = gstrustaudio.Metrics.from_fields(METRICS)
        self.assertIsNone(event.breaker_state)
        self.assertNotIn("breaker-state", event.to_fields())
        node = gstrustaudio.Metrics.from_fields({**METRICS, "gil-wait": 5, "breaker-state": "open"})
        self.assertEqual((node.gil_wait, node.breaker_state), (5, "open"))

    def test_errors_name_message_field_and_what_came(self):
        for fields, text in [
            ({k: v for k, v in VAD.items() if k != "level"}, "rustvad: field `level` is missing"),
            ({**VAD, "level": "loud"}, "rustvad: field `level` should be a finite number, is 'loud'"),
            ({**VAD, "level": float("nan")}, "rustvad: field `level` should be a finite number, is nan"),
            ({**VAD, "segment": -1}, "rustvad: field `segment` should be an unsigned integer, is -1"),
            ({**VAD, "segment": True}, "rustvad: field `segment` should be an unsigned integer, is True"),
            ({**VAD, "speech": 1}, "rustvad: field `speech` should be true or false, is 1"),
        ]:
            with self.assertRaises(gstrustaudio.MessageError) as caught:
                gstrustaudio.VadChange.from_fields(fields)
            self.assertEqual(str(caught.exception), text)
        with self.assertRaises(gstrustaudio.MessageError):
            gstrustaudio.Metrics.from_json("[1]")
        with self.assertRaises(gstrustaudio.MessageError):
            gstrustaudio.Metrics.from_json("{")

    def test_segments_are_joined_by_element(self):
        def change(element, speech, at, segment):
            fields = {**VAD, "speech": speech, "running-time": at, "segment": segment, "segment-level": -at}
            if speech:
                del fields["segment-level"]
            return gstrustaudio.VadChange.from_fields(fields, element)

        joiner = SegmentJoiner()
        done = [joiner.add(c) for c in (
            change("a", True, 10, 1), change("b", True, 15, 1), change("a", False, 30, 1),
            change("b", False, 40, 1), change("a", False, 45, 1), change("a", True, 50, 2))]
        self.assertEqual([(s.element, s.segment, s.start, s.end, s.duration, s.level) for s in done if s],
                         [("a", 1, 10, 30, 20, -30.0), ("b", 1, 15, 40, 25, -40.0)])
        self.assertEqual([(s.element, s.start, s.end, s.duration, s.level) for s in joiner.rest()],
                         [("a", 50, None, None, None)])


class Text(unittest.TestCase):
    def test_agrees_with_gstreamers_own_serializer(self):
        for name, fields in SAMPLES.items():
            with self.subTest(name):
                text = structure(name, fields).to_string()
                self.assertEqual(parse_structure(text), (name, fields))

    def test_reads_around_values_of_other_types(self):
        name, fields = parse_structure(
            'level, rms=(GValueArray)< -3.5, 2 >, caps=(GstCaps)"audio/x-raw\\,\\ rate\\=\\(int\\)8000", '
            "l={ (int)1, (int)2 }, n=(string)NULL, e=(string)\"\", end=(guint64)7;")
        self.assertEqual((name, fields["end"], fields["n"], fields["e"]), ("level", 7, None, ""))
        self.assertEqual(fields["rms"], "< -3.5, 2 >")
        self.assertEqual(fields["caps"], "audio/x-raw, rate=(int)8000")

    def test_numbers_that_json_lacks_are_read_as_they_are(self):
        fields = parse_structure("level, a=(double)-inf, b=(double)inf, c=(double)nan, d=(double)-nan;")[1]
        self.assertEqual((fields["a"], fields["b"]), (-math.inf, math.inf))
        self.assertTrue(math.isnan(fields["c"]) and math.isnan(fields["d"]))

    def test_broken_text_is_an_error(self):
        for text in ['rustvad, message=(string)"never closed', "rustvad, level", "rustvad, n=(int)x;", "="]:
            with self.assertRaises(TextError):
                parse_structure(text)

    def test_what_gst_launch_prints_is_what_the_bus_says(self):
        output = subprocess.run(
            ["gst-launch-1.0", "-m", "audiotestsrc", "num-buffers=100", "samplesperbuffer=441", "!", "rustaudioconvert",
             "name=c", "!", "rustresample", "name=r", "!", "audio/x-raw,rate=16000,format=F32LE", "!",
             "level", "!", "fakesink"],
            env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=True)
        run = read_launch_output((output.stdout + output.stderr).splitlines())
        self.assertEqual((run.outcome, run.errors), ("finished", []))
        self.assertGreater(run.total_time, 0)
        final = {m.element: m for m in run.latest.values() if m.final}
        self.assertEqual({m.factory for m in final.values()}, {"rustaudioconvert", "rustresample"})
        self.assertEqual(final["c"].num_buffers, 100)
        self.assertEqual(final["c"].num_samples, 44100)
        self.assertEqual(final["c"].last_error, "")

    def test_errors_that_gst_launch_prints(self):
        output = subprocess.run(
            ["gst-launch-1.0", "-m", "audiotestsrc", "!", "rustaudioconvert", "!", "identity", "name=i",
             "error-after=3", "!", "fakesink"],
            env=environment(), capture_output=True, text=True, timeout=PATIENCE)
        self.assertNotEqual(output.returncode, 0)
        run = read_launch_output((output.stdout + output.stderr).splitlines())
        self.assertEqual(run.outcome, "failed")
        error = {e.element: e for e in run.errors}["i"]
        self.assertEqual(error.text, "Failed after iterations as requested.")
        self.assertIn("gst_identity_transform_ip", error.debug)

    def test_an_error_without_standard_error_has_its_debug_text(self):
        line = ('Got message #39 from element "identity0" (error): GstMessageError, gerror=(GError)NULL, '
                'debug=(string)"gstidentity.c\\(847\\):\\ failed\\012second\\ line";')
        run = read_launch_output([line, "Execution ended after 0:01:02.000322840"])
        self.assertEqual((run.outcome, run.total_time), ("failed", 62_000_322_840))
        (error,) = run.errors
        self.assertEqual((error.element, error.text), ("identity0", "gstidentity.c(847): failed"))
        self.assertEqual(error.debug, "gstidentity.c(847): failed\nsecond line")

    def test_an_unreadable_message_of_ours_is_an_error_and_not_left_out(self):
        line = 'Got message #5 from element "vad0" (element): rustvad, speech=(boolean)true;'
        with self.assertRaisesRegex(gstrustaudio.MessageError, "rustvad: field `probability` is missing"):
            read_launch_output([line])
        with self.assertRaises(TextError):
            read_launch_output([line.replace("speech=(boolean)true;", "speech")])


class Schema(unittest.TestCase):
    def test_stats_of_real_elements_equal_their_json(self):
        pipeline = Gst.parse_launch(
            "audiotestsrc num-buffers=50 ! rustaudioconvert name=c ! rustresample name=r ! "
            "audio/x-raw,rate=16000 ! fakesink")
        # Once it is over, nothing moves between the readings.
        self.addCleanup(pipeline.set_state, Gst.State.NULL)
        pipeline.set_state(Gst.State.PLAYING)
        final = {m.element: m for m in gstrustaudio.metrics(pipeline, PATIENCE) if m.final}
        found = gstrustaudio.all_stats(pipeline)
        self.assertEqual([m.element for m in found], ["c", "r"])
        for m in found:
            element = pipeline.get_by_name(m.element)
            again = gstrustaudio.Metrics.from_json(element.get_property("stats-json"))
            # Only the process as a whole may have grown.
            self.assertEqual(dataclasses.replace(again, process_peak_rss=m.process_peak_rss), m)
            self.assertEqual(dataclasses.replace(final[m.element], process_peak_rss=m.process_peak_rss), m)
            self.assertEqual(m.num_buffers, 50)
            self.assertGreater(m.processing_time_p50, 0)
            self.assertFalse(m.extra, "the plugin has a field that this module does not name")

    def test_metrics_have_the_fields_of_an_element_in_its_order_and_types(self):
        types = {"str": GObject.TYPE_STRING, "int": GObject.TYPE_UINT64, "Time": GObject.TYPE_UINT64,
                 "float": GObject.TYPE_DOUBLE, "bool": GObject.TYPE_BOOLEAN}
        # It has all that any element has.
        stats = Gst.ElementFactory.make("pypipelinenode").get_property("stats")
        told = [(name, stats.get_field_type(name)) for name in
                (stats.nth_field_name(n) for n in range(stats.n_fields()))]
        here = [(name, types[kind]) for _, name, kind, _ in _layout(gstrustaudio.Metrics)]
        optional = [name for _, name, _, optional in _layout(gstrustaudio.Metrics) if optional]
        # Where an element lies comes after what functions tell of as well.
        here.insert(len(here) - len(optional) - 1, here.pop(1))
        self.assertEqual(told, here)
        plain = Gst.ElementFactory.make("rustvad").get_property("stats")
        self.assertEqual([plain.has_field(name) for name, _ in told], [name not in optional for name, _ in told])

    def test_the_documentation_names_every_field_of_metrics_and_no_other(self):
        text = (ROOT / "docs" / "observability.md").read_text()
        table = text[text.index("| `element`, `factory` |"):].split("\n\n")[0]
        named = []
        for row in table.splitlines():
            names = re.findall(r"`([^`]+)`", row.split("|")[1])
            for name in names:
                # `call-time-p50`, `-p95`
                named.append(named[-1].rsplit("-", 1)[0] + name if name.startswith("-") else name)
        self.assertEqual(sorted(named), sorted(name for _, name, _, _ in _layout(gstrustaudio.Metrics)))

    def test_the_tracer_and_this_package_make_the_same_document(self):
        line = ("audiotestsrc num-buffers=20 ! rustaudioconvert name=c ! rustresample name=r ! "
                "audio/x-raw,rate=16000 ! rustvad name=v ! pypipelinenode name=p class=Gain "
                f"module={ROOT / 'examples' / 'nodes' / 'gain.py'} ! fakesink")
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "document.json"
            output = subprocess.run(
                ["gst-launch-1.0", "-m", *line.split()], check=True, capture_output=True, text=True, timeout=PATIENCE,
                env={**environment(), "GST_TRACERS": f'rustaudiometrics(file="{file}")'}).stdout
            traced = json.loads(file.read_text())["pipeline_execution"]["nodes"]
        final = read_launch_output(output.splitlines()).latest.values()
        made = pipeline_document(final, None)["pipeline_execution"]["nodes"]
        self.assertEqual(sorted(node["id"] for node in made), ["c", "p", "r", "v"])
        by_name = {node["id"]: node for node in traced}
        for node in made:
            # Names in the same order, too.
            self.assertEqual(list(node.items()), list(by_name[node["id"]].items()))


class Structures(unittest.TestCase):
    """gst-python 1.26 gives structures of caps and events to a ``with`` alone."""

    def test_caps_and_events_give_theirs_whatever_gst_python_makes_of_them(self):
        caps = Gst.Caps.from_string("audio/x-raw,rate=8000; audio/x-raw,rate=16000")
        event = Gst.Event.new_custom(Gst.EventType.CUSTOM_DOWNSTREAM, Gst.Structure.from_string("there, rate=(int)8000")[0])

        class Wrapped:
            def __init__(self, owner):
                self.owner = owner

            def get_structure(self, *index):
                @contextlib.contextmanager
                def lent():
                    yield structure_of(self.owner, *index)

                return lent()

        for wrap in (lambda owner: owner, Wrapped):
            self.assertEqual(structure_of(wrap(caps), 1).get_int("rate")[1], 16000)
            self.assertEqual(structure_of(wrap(event)).get_value("rate"), 8000)
            self.assertIsNone(structure_of(wrap(Gst.Event.new_eos())))


if __name__ == "__main__":
    unittest.main()
