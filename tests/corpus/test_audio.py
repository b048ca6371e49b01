"""Audio that is written, and nodes that hear it."""
import itertools
import shutil
import unittest

import numpy as np
import soundfile

from support import CLIP, InFolder, corpus, launch, rows

#: Posts what it hears, and halves it.
NODE = '''
class Half:
    def __init__(self, factor=0.5):
        self.factor = factor
        self.calls = 0
    def process(self, audio, ctx):
        self.calls += 1
        ctx.post("heard", text=f"word {ctx.utterance}", samples=len(audio), call=self.calls)
        return (audio * self.factor).astype(audio.dtype)
'''


class Audio(InFolder):
    def setUp(self):
        super().setUp()
        shutil.copy(CLIP, self.sounds / "a name, with words.wav")
        launch("filesrc", f"location={CLIP}", "!", "wavparse", "!", "audioconvert", "!", "audioresample", "!",
               "audio/x-raw,rate=16000,format=S16LE", "!", "wavenc", "!", "filesink", f"location={self.folder}/16k.wav")

    def run_corpus(self, *words):
        done = corpus(self.sounds, "--out", self.out, *words)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_each_segment_has_the_samples_of_its_time(self):
        # What comes out of the whole file, cut where the segments are.
        self.run_corpus("--audio", "whole")
        (file,) = rows(self.out, "files")
        whole, rate = soundfile.read(self.out / file["audio"], dtype="int16")
        # From the instant of the first frame to that of the last one.
        self.assertEqual((rate, len(whole)), (16000, (68545 - 1) // 3 + 1))
        peer, _ = soundfile.read(self.folder / "16k.wav", dtype="int16")
        n = min(len(whole), len(peer))
        self.assertGreater(np.corrcoef(whole[:n], peer[:n])[0, 1], 0.999)
        for kind in ("wav", "flac"):
            with self.subTest(kind):
                self.run_corpus("--audio", "segments", "--audio-format", kind, "--redo")
                segments = rows(self.out, "segments")
                self.assertEqual(len(segments), 2)
                for s in segments:
                    self.assertRegex(s["audio"], rf"^audio/[0-9a-f]{{2}}/a_name_with_words-[0-9a-f]{{16}}/0000{s['index']}\.{kind}$")
                    cut, rate = soundfile.read(self.out / s["audio"], dtype="int16")
                    start, end = round(s["start"] * 16000), round(s["end"] * 16000)
                    self.assertEqual(rate, 16000)
                    np.testing.assert_array_equal(cut, whole[start:end])
                # Nothing else lies there, and nothing temporary is left.
                files = [p for p in (self.out / "audio").rglob("*") if p.is_file()]
                self.assertEqual(sorted(str(p.relative_to(self.out)) for p in files), sorted(s["audio"] for s in segments))

    def test_samples_of_the_rate_that_is_asked_for_come_through_as_they_are(self):
        shutil.move(self.folder / "16k.wav", self.sounds / "16k.wav")
        source, _ = soundfile.read(self.sounds / "16k.wav", dtype="int16")
        for kind in ("wav", "flac", "opus"):
            for audio in ("whole", "segments"):
                with self.subTest(kind + audio):
                    out = self.folder / f"{kind}{audio}"
                    done = corpus(self.sounds / "16k.wav", "--out", out, "--audio", audio, "--audio-format", kind)
                    self.assertEqual((done.returncode, done.stderr), (0, ""))
                    table = rows(out, "files" if audio == "whole" else "segments")
                    self.assertEqual(len(table), 1 if audio == "whole" else 2)
                    for row in table:
                        start, end = (round(row.get(t, d) * 16000) for t, d in [("start", 0), ("end", row["duration"])])
                        got, rate = soundfile.read(out / row["audio"], dtype="int16")
                        self.assertEqual((rate, len(got)), (16000, end - start))
                        if kind != "opus":
                            np.testing.assert_array_equal(got, source[start:end])
                        if audio == "segments":
                            level = 10 * np.log10(np.mean((got / 32768.0) ** 2))
                            self.assertAlmostEqual(level, row["level"], delta=0.5 if kind == "opus" else 0.01)
                    if audio == "whole":
                        self.assertEqual(end, len(source))

    def test_opus_and_other_formats(self):
        for number, (rate, channels, sample, kind) in enumerate(
                [(16000, 1, "S16LE", "opus"), (44100, 2, "F32LE", "opus"), (8000, 2, "F32LE", "wav"), (22050, 1, "S32LE", "flac")]):
            for audio in ("segments", "whole"):
                out = self.folder / f"out{number}{audio}"
                done = corpus(self.sounds, "--out", out, "--rate", rate, "--channels", channels, "--format", sample,
                              "--audio", audio, "--audio-format", kind)
                self.assertEqual((done.returncode, done.stderr), (0, ""), (rate, kind, audio))
                table = rows(out, "segments" if audio == "segments" else "files")
                for row in table:
                    info = soundfile.info(out / row["audio"])
                    self.assertEqual((info.samplerate, info.channels), (48000 if rate == 44100 and kind == "opus" else rate, channels))
                    self.assertAlmostEqual(info.frames / info.samplerate, row["duration"], delta=0.02)

    def test_a_gap_within_a_file_is_told_and_times_count_samples(self):
        # The clip, nothing for 2 s, and the clip, by the times of the container. Decoders give the samples one after
        # the other, and readers of manifests count those.
        import gi

        gi.require_version("Gst", "1.0")
        from gi.repository import Gst

        Gst.init(None)
        audio = soundfile.read(CLIP, dtype="int16")[0]
        p = Gst.parse_launch("appsrc name=s format=time ! audio/x-raw,format=S16LE,rate=48000,channels=1,layout=interleaved"
                             f" ! flacenc ! matroskamux ! filesink location={self.sounds}/gap.mka")
        p.set_state(Gst.State.PLAYING)
        source = p.get_by_name("s")
        for start in (0.5, 4.0):
            for i in range(0, len(audio), 4800):
                piece = audio[i : i + 4800]
                buffer = Gst.Buffer.new_wrapped(piece.tobytes())
                buffer.pts = round((start + i / 48000) * 1e9)
                buffer.duration = len(piece) * 10**9 // 48000
                source.emit("push-buffer", buffer)
        source.emit("end-of-stream")
        message = p.get_bus().timed_pop_filtered(Gst.CLOCK_TIME_NONE, Gst.MessageType.EOS | Gst.MessageType.ERROR)
        self.assertEqual(message.type, Gst.MessageType.EOS, message.type == Gst.MessageType.ERROR and message.parse_error())
        p.set_state(Gst.State.NULL)
        done = corpus(self.sounds / "gap.mka", "--out", self.out, "--audio", "segments")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        segments = rows(self.out, "segments")
        self.assertEqual(len(segments), 4)
        (file,) = rows(self.out, "files")
        self.assertAlmostEqual(file["duration"], 2 * len(audio) / 48000, delta=0.001)
        self.assertRegex(file["warnings"][0], r"^gaps: its own time goes to 4\.\d\d s, its samples last 2\.86 s")
        self.assertEqual(len(file["warnings"]), 1)
        for s, (start, (at, _)) in zip(segments, itertools.product((0.0, len(audio) / 48000), [(0.02, 0.53), (0.77, 1.41)])):
            self.assertAlmostEqual(s["start"], start + at, delta=0.12)
            cut, _ = soundfile.read(self.out / s["audio"], dtype="float64")
            level = 10 * np.log10(np.mean(cut**2))
            self.assertAlmostEqual(level, s["level"], delta=0.5)

    def test_a_node_hears_each_utterance_and_its_words_go_to_the_segment(self):
        shutil.copy(CLIP, self.sounds / "b.wav")
        self.run_corpus("--node", f"{self.node(NODE)}:Half", "--node-kwargs", '{"factor": 0.25}', "--workers", 1,
                        "--audio", "segments")
        segments = rows(self.out, "segments")
        self.assertEqual([s["text"] for s in segments], ["word 1", "word 2"] * 2)
        posted = [__import__("json").loads(s["node"]) for s in segments]
        # One object for all files of a worker: models are loaded once.
        self.assertEqual([p[0]["call"] for p in posted], [1, 2, 3, 4])
        for s, (message,) in zip(segments, posted):
            self.assertEqual((message["name"], message["samples"]), ("heard", round(s["duration"] * 16000)))
            cut, _ = soundfile.read(self.out / s["audio"], dtype="float64")
            level = 10 * np.log10(np.mean(cut**2))
            self.assertAlmostEqual(level, s["level"] - 12.04, delta=0.1)

    def test_a_function_and_failures_that_pass(self):
        code = ("def words(audio, ctx):\n    ctx.post('t', text='one')\n    ctx.post('t', text='two')\n"
                "    if ctx.utterance == 2:\n        raise ValueError('not this one')\n")
        self.run_corpus("--node", f"{self.node(code)}:words", "--node-failure", "pass")
        (file,) = rows(self.out, "files")
        self.assertEqual(file["warnings"], ["node: ValueError: not this one"])
        self.assertEqual([s["text"] for s in rows(self.out, "segments")], ["one two", "one two"])


if __name__ == "__main__":
    unittest.main()
