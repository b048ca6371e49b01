"""Disks that are full, or not the ones that one expects, and storage that fails as that of a network may: `fault.c`."""
import errno
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

from support import CLIP, Gate, InFolder, by_name, corpus, rows, start

HERE = Path(__file__).parent


class Faults(InFolder):
    @classmethod
    def setUpClass(cls):
        cls.holder = tempfile.TemporaryDirectory()
        cls.library = Path(cls.holder.name) / "fault.so"
        subprocess.run(["cc", "-shared", "-fPIC", HERE / "fault.c", "-o", cls.library, "-ldl"], check=True)

    @classmethod
    def tearDownClass(cls):
        cls.holder.cleanup()

    def faulty(self, of, under, error):
        """The environment of a run in which calls fail while there is a file ``fault`` in the folder."""
        return {"LD_PRELOAD": str(self.library), "FAULT_OF": of, "FAULT_UNDER": str(under), "FAULT_IS": str(error),
                "FAULT_WHEN": str(self.folder / "fault")}

    def assertSameTables(self, words):
        """Results are those of a run that nothing disturbs, with these words but for the folder of results."""
        other = self.folder / "other"
        corpus(*[other if word == self.out else word for word in words])
        for name in ("files", "segments"):
            self.assertEqual((self.out / f"{name}.parquet").read_bytes(), (other / f"{name}.parquet").read_bytes())


class Full(Faults):
    def run_until_full(self, under, *words):
        """A run whose disk, as far as it is below ``under``, fills up while a node is at work; the same words once there
        is room again. What the first one said."""
        self.clips(6)
        gate = Gate(self.folder)
        full = self.folder / "fault"
        words = [self.sounds, "--out", self.out, "--node", f"{self.node(gate.code())}:Waits", "--workers", 2, *words]
        run = start(*words, env=self.faulty("write", under, errno.ENOSPC))
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
        self.assertSameTables(words)
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


class Stale(Faults):
    """A server of files goes away and comes back: what was open there is stale (ESTALE)."""

    def test_a_file_that_cannot_be_read_for_a_while_is_done_when_the_others_are(self):
        clips = self.clips(3)
        gate, fault = Gate(self.folder), self.folder / "fault"
        fault.touch()
        words = [self.sounds, "--out", self.out, "--node", f"{self.node(gate.code())}:Waits", "--workers", 1]
        run = start(*words, env=self.faulty("read", clips[0], errno.ESTALE))
        # The node gets to see the second file first.
        waiting = gate.arrival()
        fault.unlink()
        gate.open()
        out, err = run.communicate(timeout=60)
        waiting.gone()
        self.assertEqual((run.returncode, err), (0, ""))
        self.assertIn("3 done, 0 failed, 0 skipped", out)
        self.assertSameTables(words)

    def test_a_file_that_can_never_be_read_has_failed(self):
        clips = self.clips(3)
        (self.folder / "fault").touch()
        done = corpus(self.sounds, "--out", self.out, env=self.faulty("read", clips[1], errno.EIO))
        self.assertEqual((done.returncode, done.stderr), (1, ""))
        files = by_name(self.out)
        self.assertEqual([files[c.name]["status"] for c in clips], ["done", "failed", "done"])
        self.assertEqual(files[clips[1].name]["kind"], "unreadable")

    def test_where_audio_cannot_be_put_in_its_place_the_run_stops_and_the_next_one_does_the_rest(self):
        self.clips(3)
        for of, kind, under in (("rename", "whole", self.out / "audio"), ("rename", "segments", self.out / "audio"),
                                ("write", "whole", self.out / ".corpus" / "scratch" / "pool")):
            with self.subTest(of=of, kind=kind):
                words = [self.sounds, "--out", self.out, "--audio", kind, "--redo"]
                (self.folder / "fault").touch()
                run = corpus(*words, env=self.faulty(of, under, errno.ESTALE))
                self.assertEqual(run.returncode, 3, run)
                self.assertIn("audio cannot be written", run.stderr + run.stdout)
                self.assertIn("0 done, 0 failed, 0 skipped, 3 to do", run.stdout)
                (self.folder / "fault").unlink()
                done = corpus(*words[:-1])
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertIn("3 done, 0 failed, 0 skipped", done.stdout)
                self.assertSameTables(words)


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
