"""Following pipelines from PyGObject."""
import array
import itertools
import math
import unittest
import wave

from support import PATIENCE, Gst, InFolder, speech

from gstrustaudio import (
    BreakerChange, Metrics, NodeFailure, PipelineError, VadChange, VadFrame, connect, events, metrics, parse,
    pipeline_document, play, segments, stats, stop,
)

FLAKY = """
class Flaky:
    def __init__(self, bad=(), every=0):
        self.n, self.bad, self.every = 0, set(bad), every
    def process(self, audio, ctx):
        self.n += 1
        if self.n in self.bad or (self.every and self.n % self.every == 0):
            raise TimeoutError(f"call {self.n} <late>")
"""


class Play(InFolder):
    def pipeline(self, line):
        pipeline = Gst.parse_launch(line)
        self.addCleanup(pipeline.set_state, Gst.State.NULL)
        return pipeline

    def test_gives_windows_and_final_message_of_each_element(self):
        pipeline = self.pipeline(
            "audiotestsrc num-buffers=300 samplesperbuffer=480 ! audio/x-raw,rate=48000 ! "
            "rustaudioconvert name=c metrics-interval=1000000000 ! rustresample name=r metrics-interval=0 ! "
            "audio/x-raw,rate=16000 ! fakesink")
        got = [e for e in play(pipeline, PATIENCE) if isinstance(e, Metrics)]
        # As many as there was time to read, one after the other.
        at = 0
        for m in (m for m in got if m.element == "c" and not m.final):
            self.assertEqual((m.running_time, m.duration % 10**9), (at, 0))
            at += m.duration
            self.assertGreaterEqual(m.num_buffers, at // 10**7)
        self.assertIn(at, [10**9, 2 * 10**9, 3 * 10**9])
        final = [m for m in got if m.final]
        self.assertEqual({m.element: (m.num_buffers, m.duration) for m in final},
                         {"c": (300, 3 * 10**9), "r": (300, 3 * 10**9)})
        self.assertEqual(len(final), 2)
        self.assertEqual([m.element for m in got if not m.final and m.element == "r"], [])
        self.assertEqual(pipeline.get_state(0)[1], Gst.State.NULL)

    def test_leaving_early_stops_the_pipeline(self):
        pipeline = self.pipeline("audiotestsrc is-live=true ! rustaudioconvert metrics-interval=20000000 ! fakesink")
        first = next(iter_ := play(pipeline, PATIENCE))
        self.assertFalse(first.final)
        iter_.close()
        self.assertEqual(pipeline.get_state(0)[1], Gst.State.NULL)

    def test_stop_gives_the_final_messages(self):
        pipeline = self.pipeline("audiotestsrc is-live=true ! rustaudioconvert name=c metrics-interval=20000000 ! fakesink")
        pipeline.set_state(Gst.State.PLAYING)
        seen = list(itertools.islice(metrics(pipeline, PATIENCE), 2))
        last = [e for e in stop(pipeline) if e.final]
        self.assertEqual([m.element for m in last], ["c"])
        self.assertGreaterEqual(last[0].num_buffers, seen[-1].num_buffers)

    def test_an_error_is_raised_with_its_debug_text(self):
        pipeline = self.pipeline("audiotestsrc ! rustaudioconvert ! identity name=i error-after=3 ! fakesink")
        with self.assertRaises(PipelineError) as caught:
            list(play(pipeline, PATIENCE))
        self.assertEqual(caught.exception.element, "i")
        self.assertIn("gst_identity_transform_ip", caught.exception.debug)
        self.assertIn("i: ", str(caught.exception))

    def test_a_pipeline_that_cannot_start_says_why(self):
        pipeline = self.pipeline("filesrc name=f location=/nonexistent ! rustaudioconvert ! fakesink")
        with self.assertRaises(PipelineError) as caught:
            list(play(pipeline, PATIENCE))
        self.assertEqual(caught.exception.element, "f")

    def test_a_silent_bus_times_out(self):
        pipeline = self.pipeline("fakesrc ! fakesink")  # never started
        with self.assertRaises(TimeoutError):
            next(events(pipeline, timeout=0.1))

    def test_an_element_that_gets_no_data_says_that_it_stalls(self):
        pipeline = self.pipeline(
            "appsrc name=a format=time caps=audio/x-raw,format=S16LE,rate=48000,channels=1,layout=interleaved ! "
            "rustaudioconvert metrics-interval=50000000 ! fakesink async=false")
        pipeline.set_state(Gst.State.PLAYING)
        buffer = Gst.Buffer.new_wrapped(bytes(960))
        buffer.pts = 0
        pipeline.get_by_name("a").emit("push-buffer", buffer)
        stalled = next(m for m in metrics(pipeline, PATIENCE) if m.stalled and m.num_buffers)
        self.assertEqual((stalled.num_buffers, stalled.num_samples, stalled.final), (1, 480, False))

    def test_messages_of_others_are_none(self):
        element = Gst.ElementFactory.make("identity")
        structure = Gst.Structure.new_empty("level")
        self.assertIsNone(parse(Gst.Message.new_element(element, structure)))
        self.assertIsNone(parse(Gst.Message.new_eos(element)))

    def test_sync_callbacks_see_everything_while_another_reads_the_bus(self):
        pipeline = self.pipeline(
            "audiotestsrc num-buffers=100 samplesperbuffer=480 ! audio/x-raw,rate=48000 ! "
            "rustaudioconvert name=c metrics-interval=500000000 ! fakesink")
        called = []
        disconnect = connect(pipeline.get_bus(), called.append, sync=True)
        read = list(play(pipeline, PATIENCE))
        disconnect()
        self.assertEqual(called, read)
        self.assertEqual([m.num_buffers for m in called if m.final], [100])
        self.assertEqual([m.final for m in called], [False] * (len(called) - 1) + [True])
        before = len(called)
        self.assertGreater(before, 1)
        list(play(pipeline, PATIENCE))
        self.assertEqual(len(called), before)


def rms(path, start, end):
    """Level of a mono S16 file between two times in ns, in dBFS."""
    with wave.open(str(path)) as w:
        first, last = (round(t * w.getframerate() / 1e9) for t in (start, end))
        w.setpos(first)
        samples = array.array("h", w.readframes(last - first))
    return 10 * math.log10(sum(x * x for x in samples) / len(samples) / 2**30)


class Speech(InFolder):
    def test_segments_are_those_of_the_recording(self):
        known = speech(self.folder)
        pipeline = Gst.parse_launch(
            f"filesrc location={self.folder}/speech.wav ! wavparse ! rustaudioconvert ! "
            "rustvad name=v min-silence=500000000 ! fakesink")
        self.addCleanup(pipeline.set_state, Gst.State.NULL)
        pipeline.set_state(Gst.State.PLAYING)
        found = list(segments(pipeline, PATIENCE))
        self.assertEqual([s.segment for s in found], list(range(1, len(known) + 1)))
        for s, (start, end) in zip(found, known):
            self.assertEqual(s.element, "v")
            self.assertLess(abs(s.start / 1e9 - start), 0.3)
            self.assertLess(abs(s.end / 1e9 - end), 0.3)
            self.assertEqual(s.duration, s.end - s.start)
            self.assertGreater(s.level, s.noise_floor)
            self.assertAlmostEqual(s.level, rms(self.folder / "speech.wav", s.start, s.end), delta=0.1)
        self.assertEqual(stats(pipeline.get_by_name("v")).factory, "rustvad")

    def test_frames_are_read(self):
        pipeline = Gst.parse_launch(
            "audiotestsrc wave=silence num-buffers=100 samplesperbuffer=160 ! audio/x-raw,rate=16000 ! "
            "rustvad post-frames=true ! fakesink")
        self.addCleanup(pipeline.set_state, Gst.State.NULL)
        got = list(play(pipeline, PATIENCE))
        frames = [e for e in got if isinstance(e, VadFrame)]
        self.assertEqual([f.running_time for f in frames], [i * 10**7 for i in range(100)])
        self.assertEqual({(f.speech, f.duration) for f in frames}, {(False, 10**7)})
        self.assertEqual([e for e in got if isinstance(e, VadChange)], [])


class Nodes(InFolder):
    def play(self, settings, buffers=20):
        module = self.node("flaky.py", FLAKY)
        pipeline = Gst.parse_launch(
            f"audiotestsrc num-buffers={buffers} samplesperbuffer=480 ! audio/x-raw,rate=48000,format=F32LE,channels=1 ! "
            f"pypipelinenode name=p module={module} class=Flaky initial-backoff=1000 {settings} ! fakesink")
        self.addCleanup(pipeline.set_state, Gst.State.NULL)
        return list(play(pipeline, PATIENCE))

    def test_failures_tell_where_and_what(self):
        got = self.play("""kwargs="{\\"bad\\": [3, 4]}" """)
        failures = [e for e in got if isinstance(e, NodeFailure)]
        self.assertEqual([(f.element, f.attempt, f.max_attempts, f.message, f.retryable, f.action) for f in failures],
                         [("p", 1, 4, "call 3 <late>", True, "retry"), ("p", 2, 4, "call 4 <late>", True, "retry")])
        self.assertEqual({f.running_time for f in failures}, {20_000_000})
        self.assertIn("TimeoutError", failures[0].exception)
        self.assertIn("flaky.py", failures[0].traceback)
        final = [e for e in got if isinstance(e, Metrics) and e.final][-1]
        self.assertEqual((final.num_errors, final.num_retries, final.num_buffers), (2, 2, 20))
        self.assertEqual((final.breaker_state, final.consecutive_failures), ("closed", 0))
        self.assertIsNotNone(final.gil_wait)

    def test_counts_are_exact_over_fault_injection(self):
        # Every 20th call fails and is tried again: 1000 buffers take 1052 calls, of which 52 fail.
        got = self.play("""kwargs="{\\"every\\": 20}" """, buffers=1000)
        failures = [e for e in got if isinstance(e, NodeFailure)]
        self.assertEqual([f.message for f in failures], [f"call {20 * (i + 1)} <late>" for i in range(52)])
        windows = [e for e in got if isinstance(e, Metrics) and not e.final]
        (final,) = [e for e in got if isinstance(e, Metrics) and e.final]
        told = [m.num_buffers for m in windows]
        self.assertEqual([n % 100 for n in told], [0] * len(told))
        self.assertEqual(told, sorted(set(told)))
        self.assertEqual((final.num_calls, final.num_buffers, final.num_samples, final.num_bytes), (1052, 1000, 480_000, 4 * 480_000))
        self.assertEqual((final.num_errors, final.num_retries, final.num_skipped, final.num_dropped), (52, 52, 0, 0))
        self.assertEqual(final.duration, 10**10)
        for m in windows:
            self.assertEqual(m.num_errors, m.num_retries)
        (node,) = pipeline_document([*windows, final], 1)["pipeline_execution"]["nodes"]
        self.assertEqual((node["buffers"], node["failures"], node["retries"], node["status"]), (1000, 52, 52, "degraded"))

    def test_breaker_changes(self):
        got = self.play("""max-retries=0 breaker-threshold=3 kwargs="{\\"every\\": 1}" """)
        changes = [e for e in got if isinstance(e, BreakerChange)]
        self.assertEqual([(b.element, b.previous, b.state, b.consecutive_failures) for b in changes],
                         [("p", "closed", "open", 3)])
        final = [e for e in got if isinstance(e, Metrics) and e.final][-1]
        self.assertEqual((final.breaker_state, final.num_errors, final.num_skipped), ("open", 3, 17))


if __name__ == "__main__":
    unittest.main()
