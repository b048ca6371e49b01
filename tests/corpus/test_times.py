"""What `start` counts from: the first sample that is decoded, in every file of the output and whatever a container says
of its times. The reader to agree with is ffmpeg, which Kaldi's command is, too."""
import io
import itertools
import re
import subprocess
import unittest

import numpy as np
import soundfile

from support import CLIP, InFolder, by_name, corpus, lines, rows

PICTURE = ["-f", "lavfi", "-i", "testsrc=size=64x64:rate=10:duration=6"]
#: Samples by which decoders differ in what they leave out: of Opus in WebM GStreamer drops less.
ALLOWED = {"late.webm": 105}


def ffmpeg(*words):
    return subprocess.run(["ffmpeg", "-nostdin", "-v", "error", *map(str, words)], check=True, capture_output=True).stdout


def heard(path):
    """What ffmpeg decodes, 16 kHz mono."""
    return np.frombuffer(ffmpeg("-i", path, "-ac", 1, "-ar", 16000, "-f", "s16le", "-"), "<i2") / 32768


def behind(audio, reference):
    """By how many samples ``audio`` is later than ``reference``."""
    size = 1 << (len(audio) + len(reference)).bit_length()
    course = np.fft.irfft(np.fft.rfft(reference, size).conj() * np.fft.rfft(audio, size))
    lag = int(np.argmax(course))
    return lag - size if lag > size // 2 else lag


def tagged(mp3, delay):
    """``mp3``, whose tag is ffmpeg's, with one of LAME's that tells of another delay of the encoder."""
    at = mp3.index(b"Lavc")
    behind = int.from_bytes(mp3[at + 21 : at + 24], "big") & 0xFFF
    return mp3[:at] + b"LAME" + mp3[at + 4 : at + 21] + (delay << 12 | behind).to_bytes(3, "big") + mp3[at + 24 :]


class Times(InFolder):
    def files(self):
        """Recordings whose containers count from elsewhere."""
        made = {name: self.sounds / name for name in
                ("late.mp4", "late.mov", "late.mkv", "late.webm", "late.ts", "plain.ts", "plain.ogg", "cut.ogg", "lame.mp3",
                 "other.mp3", "plain.m4a", "plain.wav")}
        for name in ("late.mp4", "late.mov", "late.mkv", "late.ts"):
            ffmpeg(*PICTURE, "-itsoffset", 2, "-i", CLIP, "-c:v", "mpeg4", made[name])
        ffmpeg(*PICTURE, "-itsoffset", 2, "-i", CLIP, "-c:v", "libvpx", "-c:a", "libopus", made["late.webm"])
        for name, more in [("plain.ts", ["-c:a", "mp2"]), ("plain.ogg", []), ("lame.mp3", ["-ar", 44100]), ("plain.m4a", []),
                           ("other.mp3", ["-ar", 16000, "-write_xing", 0]), ("plain.wav", [])]:
            ffmpeg("-i", CLIP, *more, made[name])
        # Its first pages have times before 0.
        ffmpeg("-ss", 0.4, "-i", made["plain.ogg"], "-c", "copy", made["cut.ogg"])
        return made

    def run_corpus(self, audio):
        out = self.folder / audio
        done = corpus(self.sounds, "--out", out, "--audio", audio)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return out

    def test_tables_audio_and_manifests_count_what_a_reader_hears(self):
        made = self.files()
        none, whole, cut = (self.run_corpus(audio) for audio in ("none", "whole", "segments"))
        tables = [[(s["id"], s["index"], s["start"], s["end"]) for s in rows(out, "segments")] for out in (none, whole, cut)]
        self.assertEqual(tables[0], tables[1])
        self.assertEqual(tables[0], tables[2])
        files = by_name(whole)
        self.assertEqual(set(files), set(made))
        commands = dict(line.split(" ", 1) for line in (none / "kaldi" / "wav.scp").read_text().splitlines())
        kaldi = dict(line.split(" ", 1) for line in (none / "kaldi" / "segments").read_text().splitlines())
        nemo = {(one["audio_filepath"], one["offset"]) for one in lines(none / "nemo.jsonl")}
        lhotse = {s["id"]: s["start"] for s in lines(none / "lhotse_supervisions.jsonl")}
        lasts = {r["id"]: r["duration"] for r in lines(none / "lhotse_recordings.jsonl")}
        for name, path in made.items():
            with self.subTest(name):
                audio, _ = soundfile.read(whole / files[name]["audio"])
                self.assertLessEqual(abs(behind(audio, heard(path))), ALLOWED.get(name, 1))
                segments = [s for s in rows(cut, "segments") if s["id"] == files[name]["id"]]
                self.assertGreaterEqual(len(segments), 1)
                at = 0.0
                for s in segments:
                    self.assertGreaterEqual(s["start"], at)
                    at = s["end"]
                    one, _ = soundfile.read(cut / s["audio"])
                    self.assertGreater(len(one), 1600)
                    np.testing.assert_array_equal(one, audio[round(s["start"] * 16000) : round(s["end"] * 16000)])
                    # Manifests of the originals, and the audio at their places.
                    key = f"{s['id']}-{s['index']:05}"
                    self.assertIn((str(path), round(s["start"], 6)), nemo)
                    self.assertEqual(lhotse[key], round(s["start"], 6))
                    recording, start, end = kaldi[key].split()
                    self.assertAlmostEqual(float(start), s["start"], delta=0.0006)
                    command = commands[recording]
                    raw = path.read_bytes() if command == str(path) else subprocess.run(
                        ["sh", "-c", command.rstrip("|")], check=True, capture_output=True).stdout
                    samples, rate = soundfile.read(io.BytesIO(raw))
                    there = samples[round(float(start) * rate) : round(float(end) * rate)]
                    # Vorbis from its middle on is another sound in each decoder, for some blocks.
                    self.assertAlmostEqual(10 * np.log10(np.mean(there**2)), s["level"], delta=1.5 if name == "cut.ogg" else 0.3)
                self.assertLessEqual(at, lasts[files[name]["id"]] + 1e-6)
        self.assertAlmostEqual(lasts[files["lame.mp3"]["id"]], 68545 / 48000, delta=0.001)
        self.assertGreater(lasts[files["other.mp3"]["id"]], 68545 / 48000 + 0.03)
        # Where sound begins beside the picture, which players go by.
        self.assertEqual([files[n]["start_time"] for n in ("late.mkv", "plain.wav", "lame.mp3")], [2.0, 0.0, 0.0])
        self.assertAlmostEqual(files["late.mp4"]["start_time"], 2.0, delta=0.1)
        page = dict(re.findall(r"/([a-z0-9.]*)#t=([0-9.]*),", (none / "report.html").read_text()))
        self.assertTrue(any(name.startswith("late.") for name in page))
        for name, at in page.items():
            starts = [files[name]["start_time"] + s["start"] for s in rows(none, "segments") if s["id"] == files[name]["id"]]
            self.assertIn(at, [f"{start:.3f}" for start in starts])

    def test_what_lame_tells_of_is_left_out_once(self):
        """GStreamer does so by its tags, and not by ffmpeg's."""
        # Parts and wholes of their frames, of 1152 and 576 samples.
        for rate, left_out in itertools.product((44100, 16000), (529, 576, 1105, 1152, 2304)):
            name = self.sounds / f"{rate}-{left_out}.mp3"
            ffmpeg("-i", CLIP, "-ar", rate, name)
            name.write_bytes(tagged(name.read_bytes(), left_out - 529))
        # mpg123audiodec of GStreamer 1.22 has a CRITICAL for a frame of which nothing is left.
        done = corpus(self.sounds, "--out", self.out, "--audio", "whole", env={"G_DEBUG": ""})
        self.assertEqual(done.returncode, 0, done.stderr)
        for name, file in by_name(self.out).items():
            with self.subTest(name):
                audio, _ = soundfile.read(self.out / file["audio"])
                reference = heard(file["path"])
                self.assertLessEqual(abs(behind(audio, reference)), 1)
                self.assertLessEqual(abs(len(audio) - len(reference)), 1)

    def test_a_hole_beside_a_picture_takes_no_time(self):
        """Demuxers fill it with GAP events, which are no samples either."""
        hole = self.sounds / "hole.mkv"
        # A clip, six seconds without samples, and the clip again.
        ffmpeg("-i", CLIP, "-i", CLIP, "-filter_complex", "[1]adelay=7500[b];[0][b]amix=inputs=2:normalize=0",
               self.folder / "wide.wav")
        ffmpeg("-f", "lavfi", "-i", "testsrc=size=64x64:rate=10:duration=14", "-itsoffset", 2, "-i", self.folder / "wide.wav",
               "-af", "aselect='not(between(t-2,1.4,7.4))'", "-c:v", "mpeg4", "-c:a", "pcm_s16le", hole)
        samples = len(heard(hole)) / 16000
        whole = self.run_corpus("whole")
        (file,) = rows(whole, "files")
        audio, _ = soundfile.read(whole / file["audio"])
        self.assertAlmostEqual(len(audio) / 16000, samples, delta=0.01)
        segments = rows(whole, "segments")
        self.assertGreaterEqual(len(segments), 2)
        at = 0.0
        for s in segments:
            self.assertGreaterEqual(s["start"], at)
            at = s["end"]
            there = audio[round(s["start"] * 16000) : round(s["end"] * 16000)]
            self.assertAlmostEqual(10 * np.log10(np.mean(there**2)), s["level"], delta=0.3)
        self.assertLessEqual(at, samples + 1e-3)

    def test_a_node_that_changes_lengths_fails_files_whose_segments_are_to_be_cut(self):
        ffmpeg("-i", CLIP, self.sounds / "a.wav")
        node = self.node("class Shorter:\n    def process(self, audio, ctx):\n        return audio[: len(audio) // 2]\n")
        done = corpus(self.sounds, "--out", self.out, "--node", f"{node}:Shorter", "--audio", "segments")
        self.assertEqual(done.returncode, 1)
        (file,) = rows(self.out, "files")
        self.assertEqual((file["status"], file["kind"], rows(self.out, "segments")), ("failed", "audio", []))
        self.assertRegex(file["reason"], r"cannot be cut: \d\.\d{3} s of audio came out for 1\.428 s")


class Microphones(InFolder):
    def test_any_number_of_them_is_mixed_and_too_many_are_told(self):
        clip, rate = soundfile.read(CLIP, dtype="int16")
        for channels in (1, 3, 7, 9, 12, 16, 32, 65, 300):
            soundfile.write(self.sounds / f"{channels}.wav", np.repeat(clip[:, None], channels, 1), rate)
        done = corpus(self.sounds, "--out", self.out, "--audio", "whole")
        self.assertEqual((done.returncode, done.stderr), (1, ""))
        files = by_name(self.out)
        one, _ = soundfile.read(self.out / files["1.wav"]["audio"])
        for channels in (3, 7, 9, 12, 16, 32):
            got = files[f"{channels}.wav"]
            self.assertEqual((got["status"], got["source_channels"], got["source_frames"]), ("done", channels, len(clip)))
            mixed, _ = soundfile.read(self.out / got["audio"])
            np.testing.assert_allclose(mixed, one, atol=2 / 32768)
        for channels in (65, 300):
            self.assertEqual((files[f"{channels}.wav"]["kind"], files[f"{channels}.wav"]["reason"]),
                             ("unsupported", f"it has {channels} channels; up to 64 are taken"))

    def test_two_channels_of_unknown_places_stay_apart(self):
        clip, rate = soundfile.read(CLIP, dtype="int16")
        soundfile.write(self.sounds / "4.wav", np.stack([clip, 0 * clip, clip, 0 * clip, clip, 0 * clip, clip], 1), rate)
        done = corpus(self.sounds, "--out", self.out, "--audio", "whole", "--channels", 2)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        got, _ = soundfile.read(self.out / by_name(self.out)["4.wav"]["audio"])
        self.assertGreater(abs(got[:, 0]).max(), 0.1)
        self.assertLess(abs(got[:, 1]).max(), 1e-3)

    def test_rates_that_no_recording_has_are_told(self):
        head = bytearray(CLIP.read_bytes())
        for rate in (1, 999, 1_000_001, 2**32 - 1):
            head[24:32] = rate.to_bytes(4, "little") + (2 * rate % 2**32).to_bytes(4, "little")
            (self.sounds / f"{rate}.wav").write_bytes(head)
        done = corpus(self.sounds, "--out", self.out)
        self.assertEqual((done.returncode, done.stderr), (1, ""))
        self.assertEqual({(f["kind"], f["reason"]) for f in rows(self.out, "files")},
                         {("unsupported", f"it has a rate of {rate} Hz; 1000 to 1000000 Hz are taken")
                          for rate in (1, 999, 1_000_001, 2**32 - 1)})


if __name__ == "__main__":
    unittest.main()
