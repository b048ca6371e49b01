"""Disks that are full, or not the ones that one expects. `full.c` plays one that fills up."""
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

from support import CLIP, Gate, InFolder, corpus, rows, start

HERE = Path(__file__).parent


class Full(InFolder):
    @classmethod
    def setUpClass(cls):
        cls.holder = tempfile.TemporaryDirectory()
        cls.library = Path(cls.holder.name) / "full.so"
        subprocess.run(["cc", "-shared", "-fPIC", HERE / "full.c", "-o", cls.library, "-ldl"], check=True)

    @classmethod
    def tearDownClass(cls):
        cls.holder.cleanup()

    def run_until_full(self, under, *words):
        """A run whose disk, as far as it is below ``under``, fills up while a node is at work; the same words once there
        is room again. What the first one said."""
        self.clips(6)
        gate = Gate(self.folder)
        full = self.folder / "full"
        words = [self.sounds, "--out", self.out, "--node", f"{self.node(gate.code())}:Waits", "--workers", 2, *words]
        run = start(*words, env={"LD_PRELOAD": str(self.library), "FULL_UNDER": str(under), "FULL_WHEN": str(full)})
        waiting = gate.arrival()
        full.touch()
        gate.open()
        out, err = run.communicate(timeout=60)
        waiting.gone()
        self.assertEqual(run.returncode, 3, (out, err))
        self.assertNotIn("Traceback", err)
        full.unlink()
        # Nothing is half there: what there is of results is from before.
        self.assertEqual([p.name for p in self.out.rglob("*.part")], [])
        done = corpus(*words)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("6 done, 0 failed, 0 skipped", done.stdout)
        other = self.folder / "other"
        words[2] = other
        corpus(*words)
        for name in ("files", "segments"):
            self.assertEqual((self.out / f"{name}.parquet").read_bytes(), (other / f"{name}.parquet").read_bytes())
        return out + err

    def test_where_tables_are_written_the_run_stops_and_the_next_one_does_the_rest(self):
        self.assertRegex(self.run_until_full(self.out), "the ledger cannot be written: .*full")

    def test_where_audio_is_written_no_file_is_to_blame(self):
        told = self.run_until_full(self.out / ".corpus" / "scratch" / "pool", "--audio", "segments")
        self.assertIn("no space is left where results are written", told)
        self.assertRegex(told, r"^\d done, 0 failed, 0 skipped, \d to do;")
        segments = rows(self.out, "segments")
        self.assertEqual(len(segments), 12)
        self.assertTrue(all((self.out / s["audio"]).stat().st_size > 10000 for s in segments))


class Elsewhere(InFolder):
    def test_the_ledger_may_be_on_another_disk_than_the_results(self):
        self.clips(2)
        with tempfile.TemporaryDirectory(dir="/dev/shm") as work:
            self.assertNotEqual(os.stat(work).st_dev, os.stat(self.folder).st_dev, "the test needs two file systems")
            for kind in ("whole", "segments"):
                out = self.folder / kind
                done = corpus(self.sounds, "--out", out, "--work", f"{work}/{kind}", "--audio", kind)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                told = rows(out, "files" if kind == "whole" else "segments")
                written = sorted(str(p.relative_to(out)) for p in (out / "audio").rglob("*") if p.is_file())
                self.assertEqual(written, sorted(t["audio"] for t in told))
                self.assertEqual(sorted(os.listdir(Path(work) / kind)), ["ledger.lock", "ledger.sqlite"])
                self.assertTrue((out / "report.html").exists())

    def test_folders_that_cannot_be_written_are_told(self):
        (self.folder / "file").touch()
        done = corpus(CLIP, "--out", self.folder / "file" / "out")
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertRegex(done.stderr, "^gstrustaudio: .*/file/out: results cannot be written there: Not a directory; "
                                      "give another --out\n$")
        done = corpus(CLIP, "--out", self.folder / "out", "--work", self.folder / "file" / "work")
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertRegex(done.stderr, "^gstrustaudio: .*/file/work: no ledger can be kept there: Not a directory; "
                                      "give a folder of this machine by --work\n$")


if __name__ == "__main__":
    unittest.main()
