"""What a run survives. Nobody sleeps: nodes stop at a gate until the test has done what it is about."""
import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import unittest
from unittest import mock

from support import CLIP, CLIPS, Gate, InFolder, by_name, corpus, environment, rows, start

from gstrustaudio.corpus.ledger import Ledger, LedgerError
from gstrustaudio.corpus.pool import DEATHS
from gstrustaudio.corpus.run import NODE_FAILURES


class Survival(InFolder):
    def setUp(self):
        super().setUp()
        self.gate = Gate(self.folder)

    def command(self, code, *words):
        """The words of a run with a node; each file has two utterances."""
        return [self.sounds, "--out", self.out, "--node", f"{self.node(code)}:Waits", "--workers", 2, *words]

    def undisturbed(self):
        """The bytes of the tables of a run in which nothing happens."""
        out = self.folder / "undisturbed"
        self.gate.passed.mkdir(exist_ok=True)
        done = corpus(self.sounds, "--out", out, "--node", f"{self.folder / 'node.py'}:Waits", "--workers", 1)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return [(out / f"{name}.parquet").read_bytes() for name in ("files", "segments")]

    def tables(self):
        return [(self.out / f"{name}.parquet").read_bytes() for name in ("files", "segments")]

    def test_a_killed_worker_is_replaced_and_its_file_done(self):
        self.clips(6)
        run = start(*self.command(self.gate.code()))
        self.gate.arrival().kill()
        out, err = run.communicate(timeout=60)
        self.assertEqual(run.returncode, 0, err)
        self.assertIn("6 done, 0 failed, 0 skipped", out)
        self.assertIn("the worker was ended by SIGKILL", err)
        self.assertEqual(self.tables(), self.undisturbed())

    def test_workers_that_die_while_they_start_are_replaced_until_it_is_too_many(self):
        self.clips(2)
        # What Python runs before anything else, in workers only.
        (self.folder / "sitecustomize.py").write_text(
            "import os, signal, sys\nif 'gstrustaudio.corpus.worker' in sys.orig_argv:\n"
            f"    open({str(self.folder / 'births')!r}, 'a').write('x')\n"
            f"    if os.path.getsize({str(self.folder / 'births')!r}) <= LIMIT:\n        os.kill(os.getpid(), signal.SIGKILL)\n")
        code = (self.folder / "sitecustomize.py").read_text()
        for limit, status, births in [(DEATHS, 0, DEATHS + 1), (100, 2, 2 * DEATHS + 1)]:
            (self.folder / "births").unlink(missing_ok=True)
            (self.folder / "sitecustomize.py").write_text(code.replace("LIMIT", str(limit)))
            done = corpus(self.sounds, "--out", self.folder / f"out{limit}", "--workers", 1 if status == 0 else 2,
                          env={"PYTHONPATH": f"{environment()['PYTHONPATH']}{os.pathsep}{self.folder}"})
            self.assertEqual(done.returncode, status, done.stderr)
            self.assertIn("the worker was ended by SIGKILL", done.stderr)
            self.assertGreaterEqual((self.folder / "births").stat().st_size, births)
        self.assertIn("workers do not start: the worker was ended by SIGKILL", done.stderr)

    def test_after_the_driver_is_killed_its_workers_end_and_the_next_run_does_the_rest(self):
        self.clips(6)
        words = self.command(self.gate.code())
        run = start(*words)
        waiting = self.gate.arrival()
        run.kill()
        run.communicate()
        waiting.gone()
        self.assertFalse((self.out / "files.parquet").exists())
        done = corpus(*words)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("6 done, 0 failed, 0 skipped", done.stdout)
        self.assertEqual(self.tables(), self.undisturbed())
        self.assertEqual(sorted(os.listdir(self.out / ".corpus")), ["ledger.lock", "ledger.sqlite"])

    def test_a_second_run_does_what_is_missing_only(self):
        clips = self.clips(3)
        counted = self.node("class Waits:\n    def process(self, audio, ctx):\n"
                            f"        open({str(self.folder / 'calls')!r}, 'a').write('x')\n")
        words = [self.sounds, "--out", self.out, "--node", f"{counted}:Waits"]
        calls = lambda: len((self.folder / "calls").read_text())
        self.assertEqual(corpus(*words).returncode, 0)
        self.assertEqual(calls(), 6)
        before = self.tables()
        self.assertEqual(corpus(*words).returncode, 0)
        self.assertEqual((calls(), self.tables()), (6, before))
        # A new file, and one that has changed.
        (self.sounds / "new.wav").write_bytes(CLIP.read_bytes())
        os.utime(clips[0], ns=(1, 1))
        self.assertEqual(corpus(*words).returncode, 0)
        self.assertEqual((calls(), len(rows(self.out, "files"))), (10, 4))

    def test_a_file_that_kills_its_worker_each_time_has_failed_and_the_others_are_done(self):
        self.clips(2)
        deadly = self.sounds / "deadly.wav"
        deadly.write_bytes((CLIPS / "Rear_Left.wav").read_bytes())
        code = ("import ctypes\nclass Waits:\n    def process(self, audio, ctx):\n"
                "        if len(audio) == LENGTH:\n            ctypes.string_at(0)\n")
        lengths = self.lengths()
        self.assertNotEqual(lengths["deadly.wav"], lengths["clip00.wav"])
        done = corpus(*self.command(code.replace("LENGTH", str(lengths["deadly.wav"]))))
        self.assertEqual(done.returncode, 1)
        files = by_name(self.out)
        self.assertEqual({n: f["status"] for n, f in files.items()},
                         {"clip00.wav": "done", "clip01.wav": "done", "deadly.wav": "failed"})
        self.assertEqual((files["deadly.wav"]["kind"], files["deadly.wav"]["reason"]),
                         ("crash", f"the worker was ended by SIGSEGV, {DEATHS} times"))
        self.assertIn("Fatal Python error: Segmentation fault", files["deadly.wav"]["traceback"])
        self.assertNotIn("worker.py", files["deadly.wav"]["traceback"])
        self.assertIn("node.py\", line 5 in process", files["deadly.wav"]["traceback"])
        # The default passes over it; asked to, it is tried again.
        again = corpus(*self.command(code.replace("LENGTH", "-1")), "--retry-failed")
        self.assertIn("3 done, 0 failed", again.stdout)

    def lengths(self):
        """Samples of the first utterance of each file."""
        out = self.folder / "lengths"
        self.assertEqual(corpus(self.sounds, "--out", out).returncode, 0)
        first = [s for s in rows(out, "segments") if s["index"] == 1]
        return {os.path.basename(s["path"]): round(s["duration"] * 16000) for s in first}

    def test_a_node_that_hangs_is_given_up_with_its_stack(self):
        self.clips(2)
        done = corpus(*self.command(self.gate.code("while True: pass"), "--timeout", 2))
        self.assertEqual(done.returncode, 1)
        files = sorted(rows(self.out, "files"), key=lambda f: f["status"])
        self.assertEqual([f["status"] for f in files], ["done", "failed"])
        self.assertEqual((files[1]["kind"], files[1]["reason"]), ("timeout", "no progress for 2 s"))
        self.assertRegex(files[1]["traceback"], r'node.py", line \d+ in process')

    def test_a_worker_that_is_frozen_is_ended_by_its_driver(self):
        self.clips(2)
        run = start(*self.command(self.gate.code(), "--timeout", 1))
        waiting = self.gate.arrival()
        os.kill(waiting.pid, signal.SIGSTOP)
        out, err = run.communicate(timeout=60)
        waiting.gone()
        self.assertEqual(run.returncode, 1, err)
        self.assertIn("a worker was frozen, and is ended", err)
        files = sorted(rows(self.out, "files"), key=lambda f: f["status"])
        self.assertEqual([(f["status"], f["kind"], f["reason"]) for f in files],
                         [("done", "", ""), ("failed", "timeout", "no progress for 1 s")])
        self.assertIn("Its process was frozen", files[1]["traceback"])

    def test_a_node_in_its_own_process_is_killed_at_its_timeout_and_the_worker_lives_on(self):
        self.clips(2)
        done = corpus(*self.command(self.gate.code("while True: pass"), "--node-timeout", 1, "--node-retries", 0))
        self.assertEqual((done.returncode, done.stderr), (1, ""))
        files = sorted(rows(self.out, "files"), key=lambda f: f["status"])
        self.assertEqual([f["status"] for f in files], ["done", "failed"])
        self.assertEqual(files[1]["kind"], "node")
        self.assertRegex(files[1]["traceback"], r'node.py", line \d+ in process')

    def test_ctrl_c_keeps_what_is_done_and_a_second_one_breaks_off(self):
        self.clips(4)
        words = self.command(self.gate.code())
        run = start(*words)
        waiting = self.gate.arrival()
        run.send_signal(signal.SIGINT)
        self.assertIn("ending when the files at work are done", run.stderr.readline())
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=60)
        self.assertEqual((run.returncode, err), (130, ""))
        waiting.gone()
        done = len(rows(self.out, "files"))
        self.assertLess(done, 4)
        self.assertIn(f"{done} done, 0 failed, 0 skipped, {4 - done} to do", out)
        self.assertEqual(corpus(*words).returncode, 0)
        self.assertEqual(self.tables(), self.undisturbed())

    def test_signals_end_a_run_that_gathers_its_inputs(self):
        # As from a list that does not come to its end.
        waits = ("import sys, time\nfrom gstrustaudio.corpus import inputs, run\ndef waits(*_):\n"
                 "    yield from (inputs.Found(f'/nowhere/{i}') for i in range(3000))\n    print('here', flush=True)\n"
                 "    while True: time.sleep(0.02)\nrun.find = waits\nfrom gstrustaudio.__main__ import main\n"
                 "sys.exit(main(sys.argv[1:]))")
        for number, more in [(signal.SIGINT, []), (signal.SIGTERM, []), (signal.SIGINT, ["--dry-run"])]:
            run = subprocess.Popen([sys.executable, "-c", waits, "corpus", str(self.sounds), "--out", str(self.out), *more],
                                   env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   # Shells have what they start in the background ignore it.
                                   preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
            self.assertEqual(run.stdout.readline(), "here\n")
            run.send_signal(number)
            out, err = run.communicate(timeout=60)
            self.assertEqual((run.returncode, out, err),
                             (130, "", "gstrustaudio: broken off before any file was worked on\n"))
        self.clips(1)
        self.assertEqual(corpus(self.sounds, "--out", self.out).returncode, 0)
        self.assertEqual(list(by_name(self.out)), ["clip00.wav"])

    def test_one_run_at_a_time_has_a_folder(self):
        self.clips(1)
        words = self.command(self.gate.code())
        run = start(*words)
        waiting = self.gate.arrival()
        other = corpus(*words)
        self.assertEqual(other.returncode, 2)
        self.assertIn("another run is at work there", other.stderr)
        waiting.kill()
        run.communicate(timeout=60)
        self.assertEqual(run.returncode, 0)

    def test_other_settings_are_refused_until_all_is_to_be_done_anew(self):
        self.clips(1)
        self.assertEqual(corpus(self.sounds, "--out", self.out).returncode, 0)
        other = corpus(self.sounds, "--out", self.out, "--rate", 8000)
        self.assertEqual(other.returncode, 2)
        self.assertIn("rate was 16000 and is 8000", other.stderr)
        self.assertIn("--redo", other.stderr)
        self.assertEqual(corpus(self.sounds, "--out", self.out, "--rate", 8000, "--redo").returncode, 0)

    def test_doing_all_anew_begins_when_the_node_is_known_to_load(self):
        self.clips(2)
        words = [self.sounds, "--out", self.out, "--audio", "segments"]
        self.assertEqual(corpus(*words).returncode, 0)
        kept = lambda: sorted((p, p.read_bytes()) for p in self.out.rglob("*")
                              if p.is_file() and ".corpus" not in p.parts)
        before = kept()
        self.assertEqual(sum(p.suffix == ".wav" for p, _ in before), 4)
        for node in ("nosuch.py:T", f"{self.node('import there_is_no_such_module')}:T"):
            done = corpus(*words, "--redo", "--node", node)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertEqual(kept(), before)
        # And is still that of the settings before.
        self.assertEqual(corpus(*words).returncode, 0)
        self.assertEqual(by_name(self.out)["clip00.wav"]["status"], "done")
        done = corpus(*words, "--redo", "--min-silence", 0.5)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(len([p for p in self.out.rglob("*.wav")]), 2)

    def test_text_of_an_earlier_run_goes_with_its_node(self):
        self.clips(1)
        node = self.node("class T:\n    def process(self, audio, ctx): ctx.post('asr', text='hello', level=float('nan'))\n")
        self.assertEqual(corpus(self.sounds, "--out", self.out, "--node", f"{node}:T").returncode, 0)
        self.assertEqual((self.out / "kaldi" / "text").read_text().count("hello"), 2)
        # What JSON does not have is null.
        self.assertIn('"level": null', rows(self.out, "segments")[0]["node"])
        self.assertEqual(corpus(self.sounds, "--out", self.out, "--redo").returncode, 0)
        self.assertFalse((self.out / "kaldi" / "text").exists())
        self.assertTrue((self.out / "kaldi" / "segments").exists())

    def test_results_of_a_node_before_and_after_it_was_mended_are_told_apart(self):
        self.clips(2)
        code = "class T:\n    def process(self, audio, ctx):\n        ctx.post('asr', text='TEXT')\n"
        modules = self.folder / "modules" / "package"
        modules.mkdir(parents=True)
        for path, name, more in [(self.folder / "node.py", f"{self.folder}/node.py:T", []),
                                 (modules / "inner.py", "package.inner:T", ["--node-path", modules.parent])]:
            out = self.folder / name.replace("/", "-")
            words = ["--out", out, "--node", name, *more]
            path.write_text(code.replace("TEXT", "one"))
            self.assertEqual(corpus(self.sounds / "clip00.wav", *words).returncode, 0)
            path.write_text(code.replace("TEXT", "two"))
            done = corpus(self.sounds, *words)
            self.assertEqual(done.returncode, 2)
            self.assertIn("has results of the node's file as it was before: give another --out, --redo", done.stderr)
            self.assertEqual(len(rows(out, "files")), 1)
            # Whoever mended it says so.
            self.assertEqual(corpus(self.sounds, *words, "--retry-failed").returncode, 0)
            self.assertEqual([s["text"] for s in rows(out, "segments")], ["one", "one", "two", "two"])
            self.assertEqual(corpus(self.sounds, *words, "--redo").returncode, 0)
            self.assertEqual({s["text"] for s in rows(out, "segments")}, {"two"})

    def test_a_ledger_is_that_of_one_folder(self):
        self.clips(1)
        words = [self.sounds, "--work", self.folder / "work", "--audio", "segments"]
        self.assertEqual(corpus(*words, "--out", self.out).returncode, 0)
        other = self.folder / "other"
        done = corpus(*words, "--out", other)
        self.assertEqual(done.returncode, 2)
        self.assertIn(f"is the ledger of the results in {self.out}: give another --work", done.stderr)
        self.assertEqual(corpus(*words, "--out", other, "--redo").returncode, 0)
        self.assertTrue(all((other / s["audio"]).exists() for s in rows(other, "segments")))

    def test_a_ledger_stays_that_of_a_folder_until_another_one_is_begun(self):
        self.clips(1)
        words = [self.sounds, "--work", self.folder / "work"]
        self.assertEqual(corpus(*words, "--out", self.out).returncode, 0)
        other = self.folder / "other"
        self.assertEqual(corpus(*words, "--out", other, "--redo", "--node", "nosuch.py:T").returncode, 2)
        self.assertEqual(corpus(*words, "--out", self.out).returncode, 0)
        self.assertEqual(corpus(*words, "--out", other).returncode, 2)

    def test_results_may_be_moved(self):
        self.clips(1)
        words = [self.sounds, "--work", self.folder / "work", "--audio", "whole"]
        self.assertEqual(corpus(*words, "--out", self.out).returncode, 0)
        moved = self.folder / "moved"
        # Where a run has not come to its tables, there is audio yet.
        (self.out / "corpus.json").rename(self.folder / "kept.json")
        self.assertIn("is the ledger of the results in", corpus(*words, "--out", moved).stderr)
        (self.folder / "kept.json").rename(self.out / "corpus.json")
        moved.rmdir()
        self.out.rename(moved)
        done = corpus(*words, "--out", moved)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("1 done, 0 failed", done.stdout)
        self.assertTrue((moved / rows(moved, "files")[0]["audio"]).exists())
        # It is that of the new place, by whatever name.
        self.out.mkdir()
        self.assertIn(f"results in {moved}: give another", corpus(*words, "--out", self.out).stderr)

    def test_recordings_where_runs_write_are_kept(self):
        # A folder of recordings that is called as that of a run, with the results beside them.
        recordings = self.sounds / "audio"
        (recordings / "3f").mkdir(parents=True)
        names = ["audio/3f/b.wav", "audio/clip.wav"]
        for name in names:
            shutil.copy(CLIP, self.sounds / name)
        made = lambda: sorted(str(p.relative_to(self.sounds)) for p in recordings.rglob("*") if p.is_file())
        for number, more in enumerate([["--redo"], ["--redo", "--audio", "whole"], ["--redo", "--audio", "segments"],
                                       ["--redo", "--audio", "whole", "--audio-format", "flac"], ["--redo"]]):
            self.assertEqual(corpus(self.sounds, "--out", self.sounds, *more).returncode, 0)
            self.assertEqual([f["path"] for f in rows(self.sounds, "files")], [str(self.sounds / n) for n in names])
            told = rows(self.sounds, "segments" if "segments" in more else "files")
            self.assertEqual(made(), sorted(names + [t["audio"] for t in told if t["audio"]]), number)
        self.assertEqual(sorted(os.listdir(recordings)), ["3f", "clip.wav"])

    def test_inputs_that_are_not_gathered_to_their_end_leave_nothing(self):
        self.clips(1)
        broken = self.folder / "broken.jsonl"
        broken.write_text("".join(f'"{self.folder}/{i}.wav"\n' for i in range(3000)) + "nonsense\n")
        self.assertIn("not a JSON object", corpus(broken, "--out", self.out).stderr)
        self.assertEqual(corpus(self.sounds, "--out", self.out).returncode, 0)
        self.assertEqual(list(by_name(self.out)), ["clip00.wav"])
        # Nor are another node's file, and what failed, taken for noted.
        node = self.node("class T:\n    def process(self, audio, ctx): raise ValueError('first')\n")
        words = ["--out", self.folder / "node", "--node", f"{node}:T"]
        self.assertEqual(corpus(self.sounds, *words).returncode, 1)
        node.write_text("class T:\n    def process(self, audio, ctx): pass\n")
        self.assertIn("not a JSON object", corpus(broken, *words, "--retry-failed").stderr)
        self.assertIn("the node's file as it was before", corpus(self.sounds, *words).stderr)

    def test_results_whose_times_count_something_else_are_refused(self):
        self.clips(1)
        words = [self.sounds, "--out", self.out]
        self.assertEqual(corpus(*words).returncode, 0)
        # As the version before had it.
        with contextlib.closing(sqlite3.connect(self.out / ".corpus" / "ledger.sqlite", isolation_level=None)) as db:
            db.execute("DELETE FROM meta WHERE name = 'times'")
        done = corpus(*words)
        self.assertEqual(done.returncode, 2)
        self.assertIn("results of an earlier version, whose times are those of containers: give another --out, or --redo",
                      done.stderr)
        self.assertEqual(corpus(*words, "--redo").returncode, 0)
        self.assertEqual(corpus(*words).returncode, 0)

    def test_a_node_that_fails_for_good_fails_its_file_with_its_traceback(self):
        self.clips(3)
        done = corpus(*self.command(self.gate.code("raise ValueError('no such word')")))
        self.assertEqual((done.returncode, done.stderr), (1, ""))
        files = sorted(rows(self.out, "files"), key=lambda f: f["status"])
        self.assertEqual([f["status"] for f in files], ["done", "done", "failed"])
        self.assertEqual(files[2]["kind"], "node")
        self.assertTrue(files[2]["reason"].endswith("ValueError: no such word"), files[2]["reason"])
        self.assertIn("raise ValueError('no such word')", files[2]["traceback"])

    def test_a_node_that_fails_in_one_file_after_the_other_stops_the_run(self):
        for i in range(NODE_FAILURES + 10):
            (self.sounds / f"clip{i:02}.wav").symlink_to(CLIP)
        done = corpus(*self.command("class Waits:\n    def process(self, audio, ctx):\n        raise ValueError('down')"))
        self.assertEqual(done.returncode, 3)
        self.assertIn(f"the node failed in {NODE_FAILURES} files in a row", done.stderr)
        self.assertIn("ValueError: down", done.stderr)
        self.assertIn(f"{NODE_FAILURES} failed, 0 skipped, 10 to do", done.stdout)

    def test_sigterm_is_heard_as_ctrl_c_is(self):
        self.clips(2)
        run = start(*self.command(self.gate.code()))
        waiting = self.gate.arrival()
        run.send_signal(signal.SIGTERM)
        self.assertIn("ending when the files at work are done", run.stderr.readline())
        # What is at work ends by itself, and is kept.
        waiting.kill()
        run.communicate(timeout=60)
        self.assertEqual(run.returncode, 130)
        self.assertTrue((self.out / "report.html").exists())

    def test_a_node_that_cannot_be_loaded_ends_the_run_before_any_file(self):
        self.clips(3)
        done = corpus(*self.command("import there_is_no_such_module"))
        self.assertEqual(done.returncode, 2)
        self.assertIn("there_is_no_such_module", done.stderr)
        self.assertIn("3 to do", done.stdout)

    def test_a_file_that_is_no_ledger_is_told(self):
        (self.out / ".corpus").mkdir(parents=True)
        (self.out / ".corpus" / "ledger.sqlite").write_bytes(b"something else altogether" * 100)
        done = corpus(CLIP, "--out", self.out)
        self.assertEqual(done.returncode, 2)
        self.assertIn(".corpus: the ledger is damaged: file is not a database; give another folder", done.stderr)


class Full(InFolder):
    def test_a_ledger_without_room_stops_the_run_and_the_next_one_goes_on(self):
        from gstrustaudio.corpus import run as module
        from gstrustaudio.corpus.options import Options
        from gstrustaudio.corpus.pool import Stop
        from gstrustaudio.corpus.result import DONE, Result

        clips = [str(c) for c in self.clips(3)]

        class Engine:
            """Gives results; after the first one there is no more room."""

            def results(self, keys, stop=None):
                for number, key in enumerate(keys):
                    if number == 1:
                        raise sqlite3.OperationalError("database or disk is full")
                    yield key, Result(DONE)

            def close(self):
                pass

        job = module.Job(clips, str(self.out), quiet=True)
        outcome = module.run(job, Options(), Stop(), lambda *_: Engine())
        self.assertEqual(outcome.outcome, "stopped")
        self.assertEqual(outcome.reason, "the ledger cannot be written: database or disk is full; make room, or give "
                         "another folder by --work")
        self.assertEqual((outcome.counts["done"], outcome.counts["pending"]), (1, 2))
        ledger = Ledger(str(self.out / ".corpus"))
        self.assertEqual(list(ledger.pending()), clips[1:])
        with self.assertRaises(LedgerError):
            Ledger(str(self.out / ".corpus"))
        ledger.close()

    def test_a_ledger_that_cannot_be_used_from_the_start_is_told(self):
        from gstrustaudio.corpus import run as module
        from gstrustaudio.corpus.options import Options
        from gstrustaudio.corpus.pool import Stop

        job = module.Job([str(CLIP)], str(self.out), quiet=True)
        for step in ("put", "add", "begin_run"):
            for words, told in [
                ("database or disk is full",
                 "the ledger cannot be written: database or disk is full; make room, or give another folder by --work"),
                ("attempt to write a readonly database",
                 "the ledger cannot be written: attempt to write a readonly database; give another folder by --work"),
                ("no such column: kind", "the ledger: no such column: kind"),
            ]:
                fault = sqlite3.OperationalError(words)
                with self.subTest(step, words=words), mock.patch.object(Ledger, step, side_effect=fault):
                    with self.assertRaises(LedgerError) as caught:
                        module.run(job, Options(), Stop())
                    self.assertEqual(str(caught.exception), f"{self.out}/.corpus: {told}")
        # Nobody holds it any more.
        Ledger(str(self.out / ".corpus")).close()

    def test_a_damaged_ledger_is_told_and_what_helps(self):
        from gstrustaudio.corpus import run as module
        from gstrustaudio.corpus.options import Options
        from gstrustaudio.corpus.pool import Stop

        work = self.out / ".corpus"
        ledger = Ledger(str(work))
        ledger.put("options", "{}")
        page = ledger._db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'files'").fetchone()[0]
        size = ledger._db.execute("PRAGMA page_size").fetchone()[0]
        ledger.close()
        whole = (work / "ledger.sqlite").read_bytes()
        job = module.Job([str(CLIP)], str(self.out), quiet=True)
        for start, length, fault in [((page - 1) * size, size, "database disk image is malformed"),
                                     (0, 100, "file is not a database"),
                                     (100, size - 100, "database disk image is malformed")]:
            (work / "ledger.sqlite").write_bytes(whole[:start] + b"\xff" * length + whole[start + length:])
            for what in (lambda: module.run(job, Options(), Stop()), lambda: module.plan(job)):
                with self.subTest(start=start), self.assertRaises(LedgerError) as caught:
                    what()
                self.assertEqual(str(caught.exception), f"{work}: the ledger is damaged: {fault}; "
                                 "give another folder by --work, or delete this one to do all of it anew")
        result = corpus(CLIP, "--out", self.out, "--dry-run")
        self.assertEqual((result.returncode, result.stdout), (2, ""))
        self.assertIn("the ledger is damaged", result.stderr)
        # A fault of ours is no fault of the file.
        with mock.patch.object(Ledger, "add", side_effect=sqlite3.ProgrammingError("closed")):
            with self.assertRaises(sqlite3.ProgrammingError):
                module.run(module.Job([str(CLIP)], str(self.folder / "other"), quiet=True), Options(), Stop())

    def test_audio_without_room_is_no_fault_of_the_file(self):
        from gstrustaudio.corpus.encode import Encoder
        from gstrustaudio.corpus.options import Options
        from gstrustaudio.corpus.pipeline import FilePipeline, NotWritten

        pipeline = FilePipeline(Options(audio="segments"), str(self.out), str(self.folder / "scratch"))
        self.addCleanup(pipeline.close)
        pipeline._sink.set_state(1)
        pipeline._sink.set_property("location", "/dev/full")
        with self.assertRaises(NotWritten):
            pipeline.run(str(CLIP), str(CLIP))
        # The same in the encoder.
        import gi

        gi.require_version("Gst", "1.0")
        from gi.repository import Gst

        caps = Gst.Caps.from_string("audio/x-raw,format=S16LE,rate=48000,channels=1,layout=interleaved")
        encoder = Encoder("wav")
        self.addCleanup(encoder.close)
        with open(CLIP, "rb") as audio, self.assertRaises(OSError) as caught:
            encoder.write(audio, caps, 0, 10**9, "/dev/full")
        self.assertEqual(caught.exception.errno, 28)


if __name__ == "__main__":
    unittest.main()
