"""Manifests, by the tools that read them: Lhotse, and NeMo's own reader."""
import importlib.util
import logging
import shutil
import subprocess
import sys
import types
import unittest
import warnings
from pathlib import Path

import numpy as np

from support import CLIP, InFolder, corpus, lines, rows

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import lhotse
    from lhotse.kaldi import load_kaldi_data_dir

NODE = "class Says:\n    def process(self, audio, ctx):\n        ctx.post('t', text=f'word number {ctx.utterance}')\n"


def nemo_readers():
    """NeMo's module of manifests, and the one that makes Lhotse's cuts of them for its newer data loader. Its packages
    import all of NeMo, and CUDA: they are stood in for, the readers are not."""
    top = Path(importlib.util.find_spec("nemo").submodule_search_locations[0])
    below = ["nemo", "nemo.utils", "nemo.collections", "nemo.collections.common", "nemo.collections.common.parts",
             "nemo.collections.common.parts.preprocessing", "nemo.collections.common.data",
             "nemo.collections.common.data.lhotse"]
    for name in below:
        sys.modules[name] = module = types.ModuleType(name)
        module.__path__ = [str(top.joinpath(*name.split(".")[1:]))]
    sys.modules["nemo.utils"].logging = logging.getLogger("nemo")
    from nemo.collections.common.data.lhotse import nemo_adapters
    from nemo.collections.common.parts.preprocessing import manifest

    # Names of many shards in one, which are none of ours.
    nemo_adapters.expand_sharded_filepaths = lambda path, *_, **__: [path]
    return manifest, nemo_adapters.LazyNeMoIterator


class Manifests(InFolder):
    def setUp(self):
        super().setUp()
        shutil.copy(CLIP, self.sounds / "one clip.wav")
        shutil.copy(CLIP, self.sounds / "two.wav")

    def made(self, *words):
        """Runs on both clips; rows of segments."""
        out = self.folder / "-".join(["out", *words])
        done = corpus(self.sounds, "--out", out, "--node", f"{self.node(NODE)}:Says", *words)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.out = out
        return rows(out, "segments")

    def test_nemo_reads_offsets_durations_and_text(self):
        reader, cuts_of = nemo_readers()
        for words, written in [((), False), (("--audio", "whole"), True), (("--audio", "segments"), True)]:
            segments = self.made(*words)
            items = list(reader.item_iter(str(self.out / "nemo.jsonl")))
            self.assertEqual(len(items), 4)
            for item, s in zip(items, segments):
                cut = "segments" in words
                self.assertAlmostEqual(item["duration"], s["duration"], places=6)
                self.assertEqual(item["text"], f"word number {s['index']}")
                self.assertEqual(item["offset"], None if cut else round(s["start"], 6))
                self.assertTrue(Path(item["audio_file"]).is_absolute())
                self.assertTrue(Path(item["audio_file"]).is_file())
                self.assertEqual(self.out in Path(item["audio_file"]).parents, written)
            for cut, s in zip(cuts_of(str(self.out / "nemo.jsonl")), segments):
                self.assertEqual(cut.supervisions[0].text, f"word number {s['index']}")
                audio = cut.load_audio()
                self.assertEqual(audio.shape, (1, round(s["duration"] * cut.sampling_rate)))
                level = 10 * np.log10(np.mean(audio**2))
                self.assertAlmostEqual(level, s["level"], delta=0.3)

    def test_lhotse_reads_validates_and_cuts(self):
        for words in [(), ("--audio", "whole", "--audio-format", "flac"), ("--audio", "segments", "--audio-format", "opus"),
                      ("--audio", "segments")]:
            with self.subTest(words):
                segments = self.made(*words)
                recordings = lhotse.RecordingSet.from_file(self.out / "lhotse_recordings.jsonl")
                supervisions = lhotse.SupervisionSet.from_file(self.out / "lhotse_supervisions.jsonl")
                self.assertEqual((len(recordings), len(supervisions)), (4 if "segments" in words else 2, 4))
                lhotse.validate_recordings_and_supervisions(recordings, supervisions)
                for one, s in zip(supervisions, segments):
                    self.assertAlmostEqual(one.duration, s["duration"], places=6)
                    self.assertEqual((one.text, one.custom["level"]), (f"word number {s['index']}", s["level"]))
                cuts = lhotse.CutSet.from_manifests(recordings=recordings, supervisions=supervisions).trim_to_supervisions()
                for cut, s in zip(cuts, segments):
                    audio = cut.load_audio()
                    self.assertEqual(audio.shape, (1, round(s["duration"] * cut.sampling_rate)))
                    self.assertGreater(abs(audio).max(), 0.05)

    def test_kaldi_is_read_and_sorted(self):
        # Kaldi reads .wav files by themselves, all else from a command.
        self.made()
        self.assertIn("one_clip-", (self.out / "kaldi" / "wav.scp").read_text())
        self.assertIn(f"ffmpeg -nostdin -v error -i '{self.sounds}/one clip.wav' -ac 1 -f wav - |\n",
                      (self.out / "kaldi" / "wav.scp").read_text())
        # What Kaldi does with the command: it gives it to a shell.
        (self.sounds / "one clip.wav").rename(self.sounds / "one 100%\\n'\n$x\".wav")
        self.made("--min-silence", "0.2")
        (command,) = [line for line in (self.out / "kaldi" / "wav.scp").read_text().splitlines() if " ffmpeg " in line]
        self.assertEqual(len((self.out / "kaldi" / "wav.scp").read_text().splitlines()), 2)
        piped = subprocess.run(["sh", "-c", command.partition(" ")[2].rstrip("|")], capture_output=True, check=True).stdout
        self.assertEqual(len(piped), CLIP.stat().st_size - 44 + piped.index(b"data") + 8)
        next(self.sounds.glob("one*")).rename(self.sounds / "one.wav")
        segments = self.made("--min-speech", "0.1")
        folder = self.out / "kaldi"
        for name in ("wav.scp", "segments", "utt2spk", "text"):
            got = (folder / name).read_bytes().splitlines()
            self.assertEqual(got, sorted(got))
            self.assertEqual(len(got), 2 if name == "wav.scp" else 4)
        recordings, supervisions, _ = load_kaldi_data_dir(folder, sampling_rate=48000)
        self.assertEqual((len(recordings), len(supervisions)), (2, 4))
        found = {s.id: s for s in supervisions}
        for s in segments:
            one = found[f"{s['id']}-{s['index']:05}"]
            self.assertAlmostEqual(one.start, s["start"], delta=0.0006)
            self.assertEqual(one.text, f"word number {s['index']}")

    def test_names_that_are_no_unicode_open_as_they_are(self):
        odd = bytes(self.sounds) + b"/caf\xe9.wav"
        with open(odd, "wb") as f:
            f.write(CLIP.read_bytes())
        corpus(odd, "--out", self.out)
        (first, _) = lines(self.out / "nemo.jsonl")
        with open(first["audio_filepath"], "rb") as f:
            self.assertEqual(f.read(4), b"RIFF")
        (recording,) = lhotse.RecordingSet.from_file(self.out / "lhotse_recordings.jsonl")
        self.assertEqual(recording.load_audio().shape, (1, 68545))


if __name__ == "__main__":
    unittest.main()
