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
from pathlib import Path
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq
import soundfile

from support import CLIP, CLIPS, PACKAGE, InFolder, by_name, corpus, environment, launch, rows

#: Where rustvad hears the two words of `CLIP` at 16 kHz, s.
WORDS = [(0.0, 0.53), (0.77, 1.41)]


def written(path, rate, channels, seconds):
    """A silent .wav file."""
    with wave.open(str(path), "wb") as w:
        w.setnchannels(channels)
        w.setsampwidth(2)
        w.setframerate(rate)
        w.writeframes(bytes(2 * channels * int(rate * seconds)))


def _other_number(ogg):
    """An Ogg file as the next one of a chain: its stream has another number."""
    pages, at = [], 0
    while at < len(ogg):
        end = ogg.find(b"OggS", at + 4)
        page = bytearray(ogg[at : end if end > 0 else len(ogg)])
        page[14:18], page[22:26] = b"next", bytes(4)
        crc = 0
        for byte in page:
            crc ^= byte << 24
            for _ in range(8):
                crc = (crc << 1) ^ (0x104C11DB7 if crc >> 31 else 0)
        page[22:26] = crc.to_bytes(4, "little")
        pages.append(bytes(page))
        at += len(page)
    return b"".join(pages)


class Tables(InFolder):
    def test_segments_have_times_levels_and_probabilities(self):
        shutil.copy(CLIP, self.sounds)
        done = corpus(self.sounds, "--out", self.out, "--detector", "silero")
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
        (self.sounds / "list.txt").write_text(f"file://{absolute}\n")
        self.assertEqual(self.found(self.sounds / "list.txt", self.sounds / "b.wav"), ["b.wav"])
        pq.write_table(pa.table({"path": [absolute, "below/c.MP3"]}), self.sounds / "list.parquet")
        self.assertEqual(self.found(self.sounds / "list.parquet"), ["b.wav", "c.MP3"])

    def test_manifests_as_others_write_them(self):
        absolute = str(self.sounds / "b.wav")
        for text in (f"one\t{absolute}\n", f"one  {absolute}\n\n", f"  one \t {absolute}\n"):
            (self.sounds / "list.scp").write_text(text)
            self.assertEqual(self.found(self.sounds / "list.scp"), ["b.wav"], text)
        tables = [{"audio": [{"bytes": b"x", "path": absolute}]}, {"path": [absolute.encode()]},
                  {"audio": pa.array([absolute]).dictionary_encode()}]
        for columns in tables:
            pq.write_table(pa.table(columns), self.sounds / "list.parquet")
            self.assertEqual(self.found(self.sounds / "list.parquet"), ["b.wav"], columns)
        (self.sounds / "list.csv").write_text(f"text,path\n{'x' * 200000},{absolute}\n")
        self.assertEqual(self.found(self.sounds / "list.csv"), ["b.wav"])
        # What begins so is a comment in a list, and a name where `find` tells it.
        (self.sounds / "#1.wav").touch()
        (self.sounds / "list.txt").write_text("#1.wav\n./#1.wav\n")
        self.assertEqual(self.found(self.sounds / "list.txt"), ["#1.wav"])
        done = subprocess.run([sys.executable, "-m", "gstrustaudio", "corpus", "-", "--out", self.out, "--dry-run"],
                              env=environment(), input="#1.wav\n", capture_output=True, text=True, cwd=self.sounds)
        self.assertIn(f"1 files to do, 0.0 MB; 0 have ended\n  {self.sounds}/#1.wav\n", done.stdout)

    def test_manifests_that_cannot_be_read_are_told(self):
        made = {
            "broken.parquet": lambda p: p.write_bytes(b"junk" * 10),
            "empty.parquet": lambda p: p.write_bytes(b""),
            "bytes.parquet": lambda p: pq.write_table(pa.table({"audio": [{"bytes": b"x", "path": None}]}), p),
            "other.parquet": lambda p: pq.write_table(pa.table({"audio": [{"array": [1.0]}]}), p),
            "number.parquet": lambda p: pq.write_table(pa.table({"path": [1]}), p),
            "nul.txt": lambda p: p.write_bytes(b"b.wav\0\n"),
            "half.jsonl": lambda p: p.write_text('{"path": "\\ud800.wav"}\n'),
            "single.scp": lambda p: p.write_text("b.wav\n"),
            "command.scp": lambda p: p.write_text("one sox b.wav -t wav - |\n"),
        }
        told = {
            "broken.parquet": "cannot be read as Parquet", "empty.parquet": "cannot be read as Parquet",
            "bytes.parquet": "column audio holds audio without a path: write it to files",
            "other.parquet": "column audio has no `path` among array", "number.parquet": "column path is of int64, not of paths",
            "nul.txt": "no file can have the name 'b.wav\\x00': mend it, or take it out",
            "half.jsonl": "no file can have the name '\\ud800.wav'",
            "single.scp": "single.scp:1: a line is an identifier and the path of a file, not 'b.wav'",
            "command.scp": "command.scp:1: a line is an identifier and the path of a file",
        }
        for name, make in made.items():
            make(self.sounds / name)
            done = corpus(self.sounds / name, "--out", self.out)
            self.assertEqual((done.returncode, done.stdout), (2, ""), name)
            self.assertIn(told[name], done.stderr)
            self.assertNotIn("Traceback", done.stderr)

    def test_times_beyond_those_of_a_database_are_taken(self):
        clip = self.sounds / "b.wav"
        shutil.copy(CLIP, clip)
        for year in (2300, 1600):
            os.utime(clip, ns=((year - 1970) * 31_557_600 * 10**9,) * 2)
            done = corpus(clip, "--out", self.out)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("1 have ended", corpus(clip, "--out", self.out, "--dry-run").stdout)

    def test_what_other_runs_wrote_below_an_input_is_no_input(self):
        shutil.copy(CLIP, self.sounds / "b.wav")
        one = self.sounds / "one"
        self.assertEqual(corpus(self.sounds / "b.wav", "--out", one, "--audio", "segments").returncode, 0)
        (one / "audio" / "recording.wav").touch()
        (next((one / "audio").glob("??")) / "another.wav").touch()
        names = ["a.flac", "b.wav", "c.MP3", "recording.wav", "another.wav"]
        self.assertEqual(self.found(self.sounds), names)
        # Its ledger elsewhere.
        shutil.rmtree(one / ".corpus")
        self.assertEqual(self.found(self.sounds), names)
        self.assertEqual(self.found(one / "audio"), ["recording.wav", "another.wav", "00001.wav", "00002.wav"])

    def test_a_byte_order_mark_belongs_to_no_name(self):
        # As spreadsheets and Windows write text.
        path = str(self.sounds / "b.wav")
        for name, text in [("list.csv", f"path,id\r\n{path},1\r\n"), ("list.txt", f"{path}\r\n"),
                           ("list.jsonl", f'{{"path": "{path}"}}\r\n')]:
            (self.sounds / name).write_bytes(b"\xef\xbb\xbf" + text.encode())
            self.assertEqual(self.found(self.sounds / name), ["b.wav"], name)

    def test_what_a_run_wrote_below_its_input_and_what_is_no_file_are_no_inputs(self):
        self.out = self.sounds / "results"
        # Recordings may lie where a run writes.
        for name in ("results/audio/3f/b-0123456789abcd3f/00001.wav", "results/audio/3f/b-0123456789abcd3f.wav",
                     "results/audio/3f/at-fault.wav", "results/audio/recording.wav", "results/own.wav",
                     "work/scratch/0/made.wav"):
            (self.sounds / name).parent.mkdir(parents=True, exist_ok=True)
            (self.sounds / name).touch()
        os.mkfifo(self.sounds / "pipe.wav")
        (self.sounds / "endless.wav").symlink_to("/dev/zero")
        (self.sounds / "dangling.wav").symlink_to("nowhere")
        for folder, names in [(self.sounds, ["a.flac", "b.wav", "dangling.wav", "c.MP3", "own.wav", "recording.wav",
                                             "at-fault.wav"]), (self.out / "audio", ["recording.wav", "at-fault.wav"])]:
            done = corpus(folder, "--out", self.out, "--work", self.sounds / "work", "--dry-run")
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertEqual([os.path.basename(line) for line in done.stdout.splitlines()[1:]], names)

    def test_standard_input_names_files_a_line_or_a_zero_byte_each(self):
        odd = self.sounds / "line\nbreak.wav"
        odd.touch()
        for text, names in [(f"{self.sounds}/b.wav\n{self.sounds}/a.flac\n", ["b.wav", "a.flac"]),
                            (f"\ufeff{self.sounds}/b.wav\r\n", ["b.wav"]),
                            (f"{odd}\0{self.sounds}/b.wav\0", ["line", "break.wav", "b.wav"])]:
            done = subprocess.run([sys.executable, "-m", "gstrustaudio", "corpus", "-", "--out", self.out, "--dry-run"],
                                  env=environment(), input=text, capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertEqual([os.path.basename(line) for line in done.stdout.splitlines()[1:]], names)

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
                            (["--min-silence", 100], "--min-silence 100: give seconds, 0 to 60"),
                            (["--min-speech", "nan"], "--min-speech nan: give seconds, 0 to 60"),
                            (["--speech-pad", 61], "--speech-pad 61: give seconds, 0 to 60"),
                            (["--look-ahead", 5], "--look-ahead 5: --detector neural takes seconds, 0, 0.03, 0.06 or 0.1"),
                            (["--look-ahead", 0.06, "--detector", "spectral"], "--detector spectral takes seconds, 0, 0.03 or 0.1"),
                            (["--energy-threshold", 5], "--energy-threshold 5: give dBFS, -120 to 0"),
                            (["--energy-threshold", "nan"], "--energy-threshold nan: give dBFS, -120 to 0"),
                            (["--node-retries", -1], "--node-retries -1: give 0 or more"),
                            (["--timeout", "inf"], "--timeout inf: give seconds, more than 0 and 86400 at most"),
                            (["--timeout", "nan"], "--timeout nan: give seconds"),
                            (["--work", b"w\xe9"], "--work w\\xe9: tables name files there, so its name has to be UTF-8"),
                            (["--limit", 0], "--limit 0: give 1 or more")]:
            done = corpus(self.sounds, "--out", self.out, *words)
            self.assertEqual(done.returncode, 2)
            self.assertIn(text, done.stderr)

    def test_a_folder_of_results_whose_name_is_no_utf_8_is_refused_before_the_work(self):
        done = corpus(CLIP, "--out", os.fsencode(self.folder) + b"/o\xe9")
        self.assertEqual((done.returncode, os.listdir(self.folder)), (2, ["sounds"]))
        self.assertIn("/o\\xe9: tables name files there, so its name has to be UTF-8", done.stderr)

    def test_what_the_element_takes_is_what_is_taken(self):
        from gstrustaudio.corpus.options import LEVELS, LONGEST_RULE, LOOK_AHEADS, Options
        from gstrustaudio.corpus.pipeline import Gst

        Options(look_ahead=0.06, min_speech=60, min_silence=60, speech_pad=60, energy_threshold=-120).check()
        rule = (0, LONGEST_RULE * 10**9)
        Gst.init(None)
        vad = Gst.ElementFactory.make("rustvad")
        for name, bounds in [("min-speech", rule), ("min-silence", rule), ("speech-pad", rule),
                             ("energy-threshold", LEVELS), ("look-ahead", (0, max(LOOK_AHEADS) * 10**9))]:
            spec = vad.find_property(name)
            self.assertEqual((spec.minimum, spec.maximum), bounds, name)
        for seconds in LOOK_AHEADS:
            vad.set_property("look-ahead", round(seconds * 1e9))
            self.assertEqual(vad.get_property("look-ahead"), round(seconds * 1e9))

    def test_where_nothing_is_there_nothing_was_done(self):
        empty = self.folder / "empty"
        empty.mkdir()
        for words, text in [([empty], "empty: no media file there, so nothing is to be done"),
                            ([self.sounds, "--ext", "wva"], "sounds: no media file there with the ending wva (--ext)"),
                            ([], "no INPUT, and ")]:
            for more in ([], ["--dry-run"] * bool(words)):
                done = corpus(*words, "--out", self.out, *more)
                self.assertEqual((done.returncode, done.stdout), (2, ""))
                self.assertIn(text, done.stderr)
                self.assertFalse((self.out / "files.parquet").exists())

    def test_nothing_is_left_open(self):
        done = corpus(CLIP, "--out", self.out, env={"PYTHONWARNINGS": "error::ResourceWarning"})
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_a_limit_leaves_the_rest_for_the_next_run(self):
        done = corpus(self.sounds, "--out", self.out, "--limit", 2)
        self.assertIn("0 done, 2 failed, 0 skipped, 1 to do", done.stdout)
        told = corpus(self.sounds, "--out", self.out, "--dry-run")
        self.assertIn("1 files to do", told.stdout)
        self.assertIn("2 have ended", told.stdout)
        self.assertIn("0 done, 3 failed, 0 skipped;", corpus("--out", self.out).stdout)

    def test_packages_that_are_missing_are_named_with_what_to_install(self):
        for module, words, text in [
            ("pyarrow.parquet", [CLIP], "corpus writes Parquet with pyarrow, which does not load (.*): pip install pyarrow"),
            ("ray", [CLIP, "--ray"], "--ray needs Ray (.*): pip install ray"),
            ("fsspec.core", ["s3://bucket/a.wav"], "s3://bucket/a.wav: s3:// needs a package: pip install fsspec s3fs"),
            ("s3fs", ["s3://bucket/a.wav"], "s3://bucket/a.wav: s3:// needs a package: pip install fsspec s3fs"),
            ("gcsfs", ["gs://bucket/a.wav"], "gs://bucket/a.wav: gs:// needs a package: pip install fsspec gcsfs"),
            ("fsspec.core", ["http://127.0.0.1:9/list.txt"], "http:// needs a package: pip install fsspec aiohttp"),
        ]:
            with self.subTest(module):
                out = self.folder / "none" / module
                code = (f"import sys; sys.modules[{module!r}] = None\nfrom gstrustaudio.__main__ import main\n"
                        f"sys.exit(main({['corpus', *map(str, words), '--out', str(out)]!r}))")
                done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True)
                self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
                self.assertRegex(done.stderr, rf"^gstrustaudio: .*{text.replace('(', '[(]').replace(')', '[)]')}.*\n$")

    def test_what_workers_need_is_named(self):
        # A Python without PyGObject, and a GStreamer without the plugin.
        (self.folder / "gi").mkdir()
        (self.folder / "gi" / "__init__.py").write_text("raise ImportError('no gi here', name='gi')\n")
        for env, text in [
            ({"PYTHONPATH": f"{environment()['PYTHONPATH']}{os.pathsep}{self.folder}"},
             "has no PyGObject, or no typelibs of GStreamer .*: on Debian install python3-gi and gir1.2-gst-plugins-base-1.0"),
            ({"GST_PLUGIN_PATH": str(self.folder), "GST_REGISTRY": str(self.folder / "registry")},
             'no element "rustaudioconvert" .is GST_PLUGIN_PATH set'),
        ]:
            done = corpus(CLIP, "--out", self.folder / "needs", env=env)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertRegex(done.stderr, text)
            self.assertNotIn("Traceback", done.stderr)

    def test_the_plugin_of_a_wheel_is_found_without_being_named(self):
        package = self.folder / "site" / "gstrustaudio"
        shutil.copytree(PACKAGE / "gstrustaudio", package, ignore=shutil.ignore_patterns("plugins", "__pycache__"))
        (package / "plugins").mkdir()
        plugin = "libgstrustaudio.so"
        shutil.copy(Path(os.environ["GST_PLUGIN_PATH"]) / plugin, package / "plugins" / plugin)
        env = {"PYTHONPATH": str(self.folder / "site"), "GST_REGISTRY": str(self.folder / "registry"), "GST_PLUGIN_PATH": ""}
        done = corpus(CLIP, "--out", self.out, env=env)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        (package / "plugins" / plugin).unlink()
        self.assertEqual(corpus(CLIP, "--out", self.folder / "other", env=env).returncode, 2)

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
    def test_what_goes_past_decodebin_comes_out_the_same(self):
        from gstrustaudio.corpus import pipeline
        from gstrustaudio.corpus.options import Options

        clip = f"location={CLIP}"
        chains = {"wavparse": ["wavenc"], "oggdemux": ["vorbisenc", "!", "oggmux"], "qtdemux": ["avenc_aac", "!", "mp4mux"],
                  "matroskademux": ["flacenc", "!", "matroskamux"], "": ["flacenc"]}
        made = pipeline.FilePipeline(Options(), str(self.out), str(self.folder / "scratch"))
        self.addCleanup(made.close)
        # Of two decoders of mp3 the faster one is taken.
        find = pipeline.Gst.ElementFactory.find
        self.assertGreater(find("mpg123audiodec").get_rank(), find("avdec_mp3").get_rank())
        for demuxer, chain in chains.items():
            path = str(self.sounds / f"clip-{demuxer}")
            launch("filesrc", clip, "!", "wavparse", "!", "audioconvert", "!", *chain, "!", "filesink", f"location={path}")
            self.assertEqual(pipeline.demuxer_of(path), demuxer)
            told = []
            for way in (demuxer, ""):
                with mock.patch.object(pipeline, "demuxer_of", lambda _, way=way: way):
                    result = made.run(path, path)
                result.run.clear()
                told.append(vars(result))
            self.assertEqual(*told)
            self.assertEqual(len(told[0]["segments"]), 2)

    def test_samples_with_less_than_a_chunk_behind_them_are_heard(self):
        # An odd number of bytes is followed by one that makes it even; some programs leave others.
        clip, rate = soundfile.read(CLIP, dtype="float64")
        self.assertEqual(len(clip) % 2, 1)
        for kind in ("PCM_16", "PCM_24", "PCM_U8", "ULAW", "FLOAT"):
            soundfile.write(self.sounds / f"{kind}.wav", clip, rate, subtype=kind)
        soundfile.write(self.sounds / "RF64.wav", clip, rate, subtype="PCM_24", format="RF64")
        for more in (b"\0", b"\0\0\0", b"LIST\x04\0\0", b"LIST\x01\0\0\0x"):
            (self.sounds / f"{len(more)} more.wav").write_bytes(CLIP.read_bytes() + more)
        for size in (0, 0x7FFFF024, 0xFFFFFFFF):
            # Of a length that was not known, as programs write it to a pipe.
            (self.sounds / f"{size:x} written.wav").write_bytes(
                CLIP.read_bytes()[:40] + size.to_bytes(4, "little") + CLIP.read_bytes()[44:])
        done = corpus(self.sounds, "--out", self.out)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual({n: (f["source_frames"], f["num_segments"], f["warnings"]) for n, f in by_name(self.out).items()},
                         {p.name: (len(clip), 2, []) for p in self.sounds.iterdir()})

    def test_chunks_are_looked_through_for_samples_to_an_end(self):
        from gstrustaudio.corpus import source

        path = self.folder / "a.wav"
        reads = []
        chunk = source._chunk

        def counted(f):
            reads.append(f.tell())
            return chunk(f)

        fmt, data = CLIP.read_bytes()[12:36], b"data\x08\0\0\0" + bytes(4)
        for rest, share, read in [
            (fmt + b"junk\x01\0\0\0x\0" + data, 0.5, 3),
            (fmt + bytes(1 << 20), 1.0, 2),
            (fmt + b"junk\0\0\0\0" * (1 << 17), 1.0, 4096),
            # As far as such a file goes.
            (fmt, 1.0, 2),
        ]:
            path.write_bytes(b"RIFF\0\0\0\0WAVE" + rest)
            reads.clear()
            with self.subTest(rest[24:32]), mock.patch.object(source, "_chunk", counted):
                self.assertEqual((source._wave_share(str(path)), len(reads)), (share, read))

    def test_an_hour(self):
        launch("filesrc", f"location={CLIP}", "!", "wavparse", "!", "audioconvert", "!", "audioresample", "!",
               "audio/x-raw,rate=8000", "!", "wavenc", "!", "filesink", f"location={self.folder}/8k.wav")
        with wave.open(f"{self.folder}/8k.wav") as clip, wave.open(f"{self.sounds}/hour.wav", "wb") as hour:
            hour.setparams(clip.getparams())
            ten = clip.readframes(80000).ljust(160000, b"\0")
            for _ in range(360):
                hour.writeframesraw(ten)
        done = corpus(self.sounds, "--out", self.out, "--detector", "silero", "--audio", "whole", "--audio-format", "flac")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        (file,) = rows(self.out, "files")
        # From the instant of the first frame to that of the last one.
        frames = 2 * (28_800_000 - 1) + 1
        self.assertEqual((file["duration"], file["source_frames"], file["num_segments"]), (frames / 16000, 28_800_000, 720))
        segments = rows(self.out, "segments")
        for first, second, third in zip(segments, segments[1:], segments[2:]):
            self.assertAlmostEqual(third["start"] - first["start"], 10, delta=0.03)
            self.assertAlmostEqual(third["duration"], first["duration"], delta=0.05)
            self.assertLess(first["end"], second["start"])
        with open(self.out / file["audio"], "rb") as f:
            # STREAMINFO: 36 bits of samples.
            self.assertEqual(int.from_bytes(f.read(26)[21:26], "big") & (1 << 36) - 1, frames)

    def test_each_kind_of_file_ends_as_it_should(self):
        clip, s = f"location={CLIP}", self.sounds
        for name, chain in {
            "clip.flac": ["flacenc"], "clip.mp3": ["lamemp3enc", "!", "id3v2mux"], "clip.ogg": ["vorbisenc", "!", "oggmux"],
            "clip.opus": ["opusenc", "!", "oggmux"], "clip.mka": ["opusenc", "!", "matroskamux"],
            "clip.m4a": ["avenc_aac", "!", "mp4mux"], "alaw.wav": ["alawenc", "!", "wavenc"],
            "r8.wav": ["audioresample", "!", "audio/x-raw,rate=8000", "!", "wavenc"],
            "r96.flac": ["audioresample", "!", "audio/x-raw,rate=96000,channels=2", "!", "flacenc"],
            "surround.wav": ["audio/x-raw,channels=8,channel-mask=(bitmask)0xc3f", "!", "wavenc"],
            "float.wav": ["audio/x-raw,format=F32LE", "!", "wavenc"],
        }.items():
            launch("filesrc", clip, "!", "wavparse", "!", "audioconvert", "!", *chain, "!", "filesink", f"location={s / name}")
        shutil.copy(CLIP, s / "line\nbreak.wav")
        # As broadcasts are recorded: one file after the other.
        (s / "chain.opus").write_bytes((s / "clip.opus").read_bytes() + _other_number((s / "clip.opus").read_bytes()))
        picture = ["videotestsrc", "num-buffers=20", "!", "video/x-raw,width=64,height=64", "!", "jpegenc", "!", "mux."]
        launch(*picture, "avimux", "name=mux", "!", "filesink", f"location={s / 'mute.avi'}")
        launch(*picture, "filesrc", clip, "!", "wavparse", "!", "audioconvert", "!", "mux.",
               "matroskamux", "name=mux", "!", "filesink", f"location={s / 'film.mkv'}")
        launch(*picture, "filesrc", clip, "!", "wavparse", "!", "audioconvert", "!", "avenc_aac", "!", "mux.",
               "qtmux", "name=mux", "!", "filesink", f"location={s / 'film.mp4'}")
        written(s / "silent.wav", 16000, 1, 2)
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
            "clip.flac", "clip.mp3", "clip.ogg", "clip.opus", "clip.mka", "clip.m4a", "alaw.wav", "line\nbreak.wav", "r8.wav",
            "r96.flac", "surround.wav", "float.wav", "film.mkv", "film.mp4", "caf\\xe9 \"'!.wav")}
        self.assertEqual(ended, {
            **speaking, "silent.wav": ("done", "", 0), "chain.opus": ("done", "", 4), "cut.wav": ("done", "", 1), "cut.flac": ("done", "", ended["cut.flac"][2]),
            "mute.avi": ("skipped", "no-audio", 0), "nothing.wav": ("failed", "empty", 0),
            "header.wav": ("failed", "decode", 0), "empty.wav": ("failed", "empty", 0),
            "text.wav": ("failed", "not-media", 0), "random.wav": ("failed", "not-media", 0),
            "dangling.wav": ("failed", "missing", 0)})
        self.assertEqual(files["caf\\xe9 \"'!.wav"]["path_bytes"], odd)
        self.assertRegex(files["cut.flac"]["warnings"][0], r"cut short: \d\.\d\d s of the 1\.43 s")
        self.assertEqual(files["cut.wav"]["warnings"], ["cut short: 0.62 s of the 1.43 s that it announces"])
        self.assertEqual([(files[n]["source_channels"], files[n]["source_rate"]) for n in ("surround.wav", "r96.flac", "r8.wav")],
                         [(8, 48000), (2, 96000), (1, 8000)])
        # Words are where they are, whatever the file is; an encoder's delay may be in it.
        heard = {}
        for segment in rows(self.out, "segments"):
            heard.setdefault(os.path.basename(segment["path"]), []).append((segment["start"], segment["end"]))
        for name in speaking:
            for (start, end), word in zip(heard[name], WORDS):
                self.assertAlmostEqual(start, word[0], delta=0.15, msg=name)
                self.assertAlmostEqual(end, word[1], delta=0.15, msg=name)
        for (start, _), (again, _) in zip(heard["chain.opus"][:2], heard["chain.opus"][2:]):
            self.assertAlmostEqual(again - start, 1.43, delta=0.1)
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
