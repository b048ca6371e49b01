"""Elements of one name in different bins of a pipeline, as where each caller has a bin of its own."""
import gc
import json
import subprocess

from prometheus_client import generate_latest
from support import PATIENCE, Gst, InFolder, cli, environment, speech, unittest

from gstrustaudio import PipelineError, all_stats, connect, parse, pipeline_document, play, segments
from gstrustaudio.exporter import Exporter
from gstrustaudio.live import path_of

TONE = "audiotestsrc num-buffers={} samplesperbuffer=480 ! audio/x-raw,rate=48000 ! rustaudioconvert name=convert ! fakesink"


def callers(*lines):
    """A pipeline with a bin ``caller0``, ``caller1``, … for each of ``lines``."""
    pipeline = Gst.Pipeline.new("p")
    for i, line in enumerate(lines):
        bin = Gst.parse_bin_from_description(line, False)
        bin.set_name(f"caller{i}")
        pipeline.add(bin)
    return pipeline


class Names(InFolder):
    def start(self, pipeline):
        self.addCleanup(pipeline.set_state, Gst.State.NULL)
        return pipeline

    def test_segments_are_joined_each_by_its_own_detector(self):
        known = speech(self.folder)
        line = (f"filesrc location={self.folder}/speech.wav ! wavparse ! identity name=i sleep-time={{}} ! "
                "rustvad name=vad min-silence=500000000 ! fakesink")
        # At other speeds, so that starts and ends of both are told in turn.
        pipeline = self.start(callers(line.format(150), line.format(200)))
        pipeline.set_state(Gst.State.PLAYING)
        found = list(segments(pipeline, PATIENCE))
        self.assertEqual({s.element for s in found}, {"vad"})
        for path in ("caller0/vad", "caller1/vad"):
            own = [s for s in found if s.path == path]
            self.assertEqual([s.segment for s in own], list(range(1, len(known) + 1)))
            for s, (start, end) in zip(own, known):
                self.assertLess(abs(s.start / 1e9 - start), 0.3)
                self.assertLess(abs(s.end / 1e9 - end), 0.3)

    def test_each_message_and_what_is_asked_tells_where_its_element_lies(self):
        pipeline = self.start(callers(TONE.format(30), TONE.format(50)))
        exporter = Exporter()
        final = {}
        for event in play(pipeline, PATIENCE):
            exporter.add(event)
            if event.final:
                final[event.path] = event.num_buffers
        wanted = {"caller0/convert": 30, "caller1/convert": 50}
        self.assertEqual(final, wanted)
        self.assertEqual({m.path: m.num_buffers for m in all_stats(pipeline)}, wanted)
        stats = json.loads(pipeline.get_by_name("caller1").get_by_name("convert").get_property("stats-json"))
        self.assertEqual((stats["element"], stats["path"]), ("convert", "caller1/convert"))
        nodes = pipeline_document(all_stats(pipeline), 1)["pipeline_execution"]["nodes"]
        self.assertEqual({n["id"]: n["buffers"] for n in nodes}, wanted)
        scraped = generate_latest(exporter.registry).decode()
        for path, count in wanted.items():
            self.assertIn(f'rustaudio_buffers_total{{element="{path}",factory="rustaudioconvert",pipeline=""}} {count}.0',
                          scraped)

    def test_what_is_read_after_its_bin_was_taken_out_is_still_the_bins(self):
        pipeline = self.start(callers(TONE.format(-1), TONE.format(-1)))
        pipeline.set_state(Gst.State.PLAYING)
        bus = pipeline.get_bus()
        bus.timed_pop_filtered(PATIENCE * Gst.SECOND, Gst.MessageType.ELEMENT)
        caller = pipeline.get_by_name("caller1")
        caller.set_state(Gst.State.NULL)
        pipeline.remove(caller)
        # Nothing but its message keeps the element, which is in no bin then.
        del caller
        waiting = [m for m in iter(bus.pop, None) if m.type == Gst.MessageType.ELEMENT]
        gc.collect()
        final = [m for m in waiting if parse(m).final]
        self.assertEqual([m.src.get_parent() for m in final], [None])
        self.assertEqual([parse(m).path for m in final], ["caller1/convert"])

    def test_below_a_bin_paths_begin_there(self):
        pipeline = self.start(callers(TONE.format(30), TONE.format(50)))
        heard = []
        disconnect = connect(pipeline.get_bus(), heard.append, sync=True, below=pipeline.get_by_name("caller1"))
        list(play(pipeline, PATIENCE))
        disconnect()
        self.assertEqual({(m.path, m.num_buffers) for m in heard if m.final}, {("convert", 50)})

    def test_an_error_tells_where_its_element_lies(self):
        pipeline = self.start(callers(TONE.format(-1), f"{TONE.format(-1)} fakesrc ! identity name=convert2 error-after=2 ! fakesink"))
        with self.assertRaises(PipelineError) as caught:
            list(play(pipeline, PATIENCE))
        self.assertEqual((caught.exception.element, caught.exception.path), ("convert2", "caller1/convert2"))
        self.assertTrue(str(caught.exception).startswith("caller1/convert2: "))
        self.assertEqual(path_of(pipeline), "p")

    def test_run_and_report_have_a_row_for_each(self):
        words = []
        for name, count in (("a", 30), ("b", 50)):
            words += ["bin.(", f"name={name}", *TONE.format(count).split(), ")"]
        words += ["bin.(", "name=c", "fakesrc", "!", "identity", "name=convert", "error-after=2", "!", "fakesink", ")"]
        path = self.folder / "run.json"

        def nodes():
            execution = json.loads(path.read_text())["pipeline_execution"]
            # Its source may say that it was stopped.
            self.assertLessEqual({e["id"] for e in execution["errors"]} - {"c/fakesrc0"}, {"c/convert"})
            return {n["id"]: (n.get("buffers"), n["status"]) for n in execution["nodes"]}

        for more in [], ["--all"]:
            cli("run", "--json", str(path), *more, "--", *words)
            found = nodes()
            # How far the others came when the error ended the run is up to the machine.
            self.assertEqual(found["c/convert"][1], "failed")
            self.assertEqual({found[f"{name}/convert"][1] for name in "ab"}, {"ok"})
        saved = self.folder / "saved.txt"
        with open(saved, "w") as f:
            subprocess.run(["gst-launch-1.0", "-m", *words], env=environment(), stdout=f, stderr=f, timeout=PATIENCE)
        done = cli("report", str(saved), "--json", str(path))
        self.assertEqual(done.stderr.count("ERROR: c/convert: "), 1, done.stderr)
        self.assertEqual(nodes()["c/convert"][1], "failed")


if __name__ == "__main__":
    unittest.main()
