"""The command line, as a user runs it, on audio of all kinds."""
import fcntl
import os
import pty
import shutil
import struct
import subprocess
import sys
import termios
import unittest
import wave

import pyarrow as pa
import pyarrow.parquet as pq

from support import CLIP, CLIPS, InFolder, by_name, corpus, environment, launch, rows

#: Where rustvad hears the two words of `CLIP` at 16 kHz, s.
WORDS = [(0.0, 0.53), (0.77, 1.41)]


def written(path, rate, channels, seconds):
    """A silent .wav file."""
    with wave.open(str(path), "wb") as w:
        w.setnchannels(channels)
        w.setsampwidth(2)
        w.setframerate(rate)
        w.writeframes(bytes(2 * channels * int(rate * seconds)))


class Tables(InFolder):
    def test_segments_have_times_levels_and_probabilities(self):
        shutil.copy(CLIP, self.sounds)
        done = corpus(self.sounds, "--out", self.out)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("1 done, 0 failed, 0 skipped; 0.000 h of speech in 0.000 h, 2 segments", done.stdout)
        (file,) = rows(self.out, "files")
        path = str(self.sounds / CLIP.name)
        self.assertEqual(
            {k: file[k] for k in ("path", "path_bytes", "status", "kind", "reason", "traceback", "size", "codec",
                                  "source_rate", "source_channels", "source_frames", "num_segments", "audio", "warnings")},
            {"path": path, "path_bytes": None, "status": "done", "kind": "", "reason": "", "traceback": "",
             "size": CLIP.stat().st_size, "codec": "Uncompressed 16-bit PCM audio", "source_rate": 48000,
             "source_channels": 1, "source_frames": 68545, "num_segments": 2, "audio": "", "warnings": []})
        # 68,545 frames at 48 kHz, to the nearest at 16 kHz.
        self.assertAlmostEqual(file["duration"], 68545 / 48000, delta=1 / 16000)
        segments = rows(self.out, "segments")
        self.assertEqual([s["index"] for s in segments], [1, 2])
        for s, (start, end) in zip(segments, WORDS):
            self.assertEqual((s["path"], s["id"], s["node"], s["text"], s["audio"]),
                             (path, file["id"], None, None, None))
            self.assertAlmostEqual(s["start"], start, delta=0.05)
            self.assertAlmostEqual(s["end"], end, delta=0.05)
            self.assertAlmostEqual(s["duration"], s["end"] - s["start"], places=9)
            self.assertTrue(-30 < s["level"] < -15 and s["noise_floor"] < -60, s)
            self.assertTrue(0.7 < s["probability"] <= 1, s)
        self.assertAlmostEqual(file["speech"], sum(s["duration"] for s in segments), places=6)

    def test_settings_reach_the_elements(self):
        shutil.copy(CLIP, self.sounds)
        corpus(self.sounds, "--out", self.out, "--min-silence", 0.5)
        self.assertEqual(len(rows(self.out, "segments")), 1)
        other = self.folder / "other"
        corpus(self.sounds, "--out", other, "--detector", "energy", "--energy-threshold", -10, "--rate", 8000)
        self.assertEqual(rows(other, "segments"), [])
        self.assertAlmostEqual(rows(other, "files")[0]["duration"], 68545 / 48000, delta=1 / 8000)
        long = self.folder / "long"
        corpus(self.sounds, "--out", long, "--max-speech", 0.25)
        self.assertTrue(all(s["duration"] <= 0.250001 for s in rows(long, "segments")))

    def test_the_same_tables_whatever_the_number_of_workers(self):
        for i, clip in enumerate(sorted(CLIPS.glob("*.wav"))):
            shutil.copy(clip, self.sounds / f"{i}.wav")
        tables = []
        for workers in (1, 4):
            out = self.folder / f"out{workers}"
            self.assertEqual(corpus(self.sounds, "--out", out, "--workers", workers).returncode, 0)
            tables.append([(out / f"{n}.parquet").read_bytes() for n in ("files", "segments")])
        self.assertEqual(*tables)


class Inputs(InFolder):
    def found(self, *words):
        """Names of the files that a run takes."""
        done = corpus(*words, "--out", self.out, "--dry-run")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertFalse(self.out.exists())
        return [os.path.basename(line) for line in done.stdout.splitlines()[1:]]

    def setUp(self):
        super().setUp()
        (self.sounds / "below").mkdir()
        for name in ("b.wav", "a.flac", "notes.txt", "below/c.MP3", "below/d.md"):
            (self.sounds / name).write_bytes(b"x")

    def test_folders_give_media_files_of_all_levels(self):
        self.assertEqual(self.found(self.sounds), ["a.flac", "b.wav", "c.MP3"])
        self.assertEqual(self.found(self.sounds, "--ext", "md,.wav"), ["b.wav", "d.md"])

    def test_globs_and_names_give_what_they_say_once(self):
        self.assertEqual(self.found(f"{self.sounds}/*.[wf]*", self.sounds / "b.wav"), ["a.flac", "b.wav"])
        self.assertEqual(self.found(f"{self.sounds}/**/d.md"), ["d.md"])

    def test_manifests_of_each_kind(self):
        absolute = str(self.sounds / "b.wav")
        texts = {
            "list.txt": f"{absolute}\n# a comment\n\nbelow/c.MP3\n",
            "list.csv": f'id,path\n1,{absolute}\n2,"below/c.MP3"\n',
            "list.tsv": f"path\tx\n{absolute}\t1\nbelow/c.MP3\t2\n",
            "list.jsonl": f'{{"audio_filepath": "{absolute}"}}\n{{"audio_filepath": "below/c.MP3"}}\n',
            "list.scp": f"one {absolute}\ntwo below/c.MP3\n",
        }
        for name, text in texts.items():
            (self.sounds / name).write_text(text)
            self.assertEqual(self.found(self.sounds / name), ["b.wav", "c.MP3"], name)
        pq.write_table(pa.table({"path": [absolute, "below/c.MP3"]}), self.sounds / "list.parquet")
        self.assertEqual(self.found(self.sounds / "list.parquet"), ["b.wav", "c.MP3"])

    def test_what_does_not_exist_or_is_no_manifest_is_told(self):
        (self.sounds / "bad.csv").write_text("id,name\n1,2\n")
        (self.sounds / "bad.jsonl").write_text('{"path": "a"}\nnonsense\n')
        for word, text in [(self.folder / "none.wav", "none.wav: there is no such file or folder"),
                           (f"{self.sounds}/*.none", "nothing matches"),
                           (self.sounds / "bad.csv", "no column `path`"),
                           (self.sounds / "bad.jsonl", "bad.jsonl:2: not a JSON object")]:
            done = corpus(word, "--out", self.out)
            self.assertEqual(done.returncode, 2)
            self.assertIn(text, done.stderr)
            self.assertNotIn("Traceback", done.stderr)

    def test_settings_that_cannot_be_are_told(self):
        for words, text in [(["--rate", 100], "--rate 100: give 8000 to 384000 Hz"),
                            (["--threshold", 2], "--threshold 2: a probability lies between 0 and 1"),
                            (["--node", "x"], "--node x: give module:Class"),
                            (["--node-kwargs", "[1]"], "give a JSON object"),
                            (["--limit", 0], "--limit 0: give 1 or more")]:
            done = corpus(self.sounds, "--out", self.out, *words)
            self.assertEqual(done.returncode, 2)
            self.assertIn(text, done.stderr)

    def test_a_limit_leaves_the_rest_for_the_next_run(self):
        done = corpus(self.sounds, "--out", self.out, "--limit", 2)
        self.assertIn("0 done, 2 failed, 0 skipped, 1 to do", done.stdout)
        told = corpus(self.sounds, "--out", self.out, "--dry-run")
        self.assertIn("1 files to do", told.stdout)
        self.assertIn("2 have ended", told.stdout)
        self.assertIn("0 done, 3 failed, 0 skipped;", corpus("--out", self.out).stdout)

    def test_without_pyarrow_the_command_says_what_to_install(self):
        code = ("import sys; sys.modules['pyarrow'] = None; sys.modules['pyarrow.parquet'] = None\n"
                "from gstrustaudio.__main__ import main\n"
                f"sys.exit(main(['corpus', {str(CLIP)!r}, '--out', {str(self.out)!r}]))")
        done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True)
        self.assertEqual(done.returncode, 2)
        self.assertIn("pip install pyarrow", done.stderr)
        self.assertFalse(self.out.exists())

    def test_a_terminal_gets_a_bar(self):
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
        done = subprocess.Popen([sys.executable, "-m", "gstrustaudio", "corpus", str(CLIP), "--out", str(self.out)],
                                env=environment(TERM="xterm"), stdout=subprocess.DEVNULL, stderr=theirs)
        os.close(theirs)
        shown = b""
        while True:
            try:
                got = os.read(ours, 4096)
            except OSError:
                break
            if not got:
                break
            shown += got
        os.close(ours)
        self.assertEqual(done.wait(), 0)
        self.assertIn(b"1/1", shown)
        self.assertIn(b"0 failed", shown)


class Kinds(InFolder):
    def test_each_kind_of_file_ends_as_it_should(self):
        clip, s = f"location={CLIP}", self.sounds
        for name, chain in {
            "clip.flac": ["flacenc"], "clip.mp3": ["lamemp3enc", "!", "id3v2mux"], "clip.ogg": ["vorbisenc", "!", "oggmux"],
            "clip.opus": ["opusenc", "!", "oggmux"], "clip.mka": ["opusenc", "!", "matroskamux"],
        }.items():
            launch("filesrc", clip, "!", "wavparse", "!", "audioconvert", "!", *chain, "!", "filesink", f"location={s / name}")
        picture = ["videotestsrc", "num-buffers=20", "!", "video/x-raw,width=64,height=64", "!", "jpegenc", "!", "mux."]
        launch(*picture, "avimux", "name=mux", "!", "filesink", f"location={s / 'mute.avi'}")
        launch(*picture, "filesrc", clip, "!", "wavparse", "!", "audioconvert", "!", "mux.",
               "matroskamux", "name=mux", "!", "filesink", f"location={s / 'film.mkv'}")
        written(s / "silent.wav", 16000, 1, 2)
        written(s / "r8.wav", 8000, 1, 1)
        written(s / "r96.wav", 96000, 2, 1)
        written(s / "surround.wav", 48000, 8, 1)
        written(s / "nothing.wav", 16000, 1, 0)
        whole = CLIP.read_bytes()
        (s / "cut.wav").write_bytes(whole[:60000])
        flac = (s / "clip.flac").read_bytes()
        (s / "cut.flac").write_bytes(flac[: len(flac) // 2])
        (s / "header.wav").write_bytes(whole[:30])
        (s / "empty.wav").write_bytes(b"")
        (s / "text.wav").write_bytes(b"hello, this is text\n")
        (s / "random.wav").write_bytes(bytes(i * i * 7919 % 251 for i in range(40000)))
        (s / "dangling.wav").symlink_to("nowhere")
        odd = os.fsencode(s) + b"/caf\xe9 \"'!.wav"
        with open(odd, "wb") as f:
            f.write(whole)
        done = corpus(self.sounds, "--out", self.out)
        self.assertEqual((done.returncode, done.stderr), (1, ""))
        files = by_name(self.out)
        ended = {n: (f["status"], f["kind"], f["num_segments"]) for n, f in files.items()}
        speaking = {n: ("done", "", 2) for n in (
            "clip.flac", "clip.mp3", "clip.ogg", "clip.opus", "clip.mka", "film.mkv", "caf\\xe9 \"'!.wav")}
        quiet = {n: ("done", "", 0) for n in ("silent.wav", "r8.wav", "r96.wav", "surround.wav")}
        self.assertEqual(ended, {
            **speaking, **quiet, "cut.wav": ("done", "", 1), "cut.flac": ("done", "", ended["cut.flac"][2]),
            "mute.avi": ("skipped", "no-audio", 0), "nothing.wav": ("failed", "empty", 0),
            "header.wav": ("failed", "decode", 0), "empty.wav": ("failed", "empty", 0),
            "text.wav": ("failed", "not-media", 0), "random.wav": ("failed", "not-media", 0),
            "dangling.wav": ("failed", "missing", 0)})
        self.assertEqual(files["caf\\xe9 \"'!.wav"]["path_bytes"], odd)
        self.assertRegex(files["cut.flac"]["warnings"][0], r"cut short: \d\.\d\d s of the 1\.43 s")
        self.assertEqual((files["surround.wav"]["source_channels"], files["r96.wav"]["source_rate"]), (8, 96000))
        # The table is a manifest too, whatever bytes names are made of.
        again = self.folder / "again"
        corpus(self.out / "files.parquet", "--out", again)
        self.assertEqual((again / "files.parquet").read_bytes(), (self.out / "files.parquet").read_bytes())

    def test_a_decoder_that_is_missing_and_a_folder_in_a_manifest_are_named(self):
        launch("filesrc", f"location={CLIP}", "!", "wavparse", "!", "audioconvert", "!", "flacenc", "!", "filesink",
               f"location={self.sounds / 'clip.flac'}")
        (self.sounds / "folder.wav").mkdir()
        (self.sounds / "list.txt").write_text("clip.flac\nfolder.wav\n")
        done = corpus(self.sounds / "list.txt", "--out", self.out,
                      env={"GST_PLUGIN_FEATURE_RANK": "flacdec:NONE,avdec_flac:NONE"})
        self.assertEqual((done.returncode, done.stderr), (1, ""))
        files = by_name(self.out)
        self.assertEqual((files["clip.flac"]["kind"], files["folder.wav"]["kind"]), ("missing-plugin", "unreadable"))
        self.assertRegex(files["clip.flac"]["reason"], r"GStreamer has no .*FLAC.* decoder")
        self.assertIn("is a directory", files["folder.wav"]["reason"])
        # With the decoder there, it is done.
        self.assertEqual(corpus("--out", self.out, "--retry-failed").returncode, 1)
        self.assertEqual(by_name(self.out)["clip.flac"]["status"], "done")


if __name__ == "__main__":
    unittest.main()
