"""The command line, as a user runs it."""
import json
import os
import signal
import subprocess
import sys
import unittest

from support import PATIENCE, ROOT, InFolder, cli, environment

LINE = ["audiotestsrc", "num-buffers=300", "samplesperbuffer=480", "!", "audio/x-raw,rate=48000", "!",
        "rustaudioconvert", "name=c", "!", "audio/x-raw,format=F32LE", "!", "rustresample", "name=r", "!",
        "audio/x-raw,rate=16000", "!", "fakesink", "name=s"]
#: The keys that the tracer's document has.
KEYS = {"id", "type", "execution_time_ms", "memory_mb", "status", "buffers", "p50_ms", "p95_ms", "p99_ms",
        "max_ms", "retries", "failures", "skipped", "timeouts"}


class Run(InFolder):
    def run_json(self, *words):
        path = self.folder / "run.json"
        done = cli("run", "--json", str(path), *words)
        return done, json.loads(path.read_text())["pipeline_execution"]

    def test_typelibs_that_lack_are_named_with_their_package(self):
        program = """
import sys, gi
real = gi.require_version
def some(namespace, version):
    if namespace == sys.argv[1]:
        raise ValueError(f"Namespace {namespace} not available")
    real(namespace, version)
gi.require_version = some
from gstrustaudio.__main__ import main
sys.exit(main(sys.argv[2:]))
"""
        for namespace in ["Gst", "GstAudio"]:
            words = ["run", "--html", str(self.folder / "run.html"), "--", *LINE]
            done = subprocess.run([sys.executable, "-c", program, namespace, *words], env=environment(), text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE)
            self.assertEqual((done.returncode, done.stderr), (2,
                f"gstrustaudio: Namespace {namespace} not available (Debian: python3-gi and "
                "gir1.2-gst-plugins-base-1.0, for the system's /usr/bin/python3; a virtualenv has them where that made it "
                "with --system-site-packages, or by pip install PyGObject)\n"))

    def test_a_plugin_that_lacks_is_told_with_what_brings_it(self):
        env = {**environment(), "GST_PLUGIN_PATH": str(self.folder), "GST_REGISTRY": str(self.folder / "registry"),
               "HOME": str(self.folder)}
        done = subprocess.run([sys.executable, "-m", "gstrustaudio", "run", "--", *LINE], env=env, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE)
        self.assertEqual(done.returncode, 1)
        self.assertIn("; GStreamer finds no plugin rustaudio: name its folder in GST_PLUGIN_PATH", done.stderr)
        self.assertNotIn("GStreamer finds no", cli("run", "--", "nosuchelement0", "!", "fakesink").stderr)

    def test_writes_the_document_and_prints_a_table(self):
        done, execution = self.run_json("--", *LINE)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual((execution["outcome"], execution["errors"]), ("finished", []))
        self.assertEqual([(n["id"], n["type"], n["buffers"], n["status"]) for n in execution["nodes"]],
                         [("c", "rustaudioconvert", 300, "ok"), ("r", "rustresample", 300, "ok")])
        for n in execution["nodes"]:
            self.assertLessEqual(KEYS, set(n))
            self.assertLessEqual(n["p50_ms"], n["p99_ms"])
            self.assertLessEqual(n["p99_ms"], n["max_ms"])
            self.assertLessEqual(n["max_ms"], n["execution_time_ms"])
        for ms in [execution["total_time_ms"]] + [n["execution_time_ms"] for n in execution["nodes"]]:
            self.assertGreater(ms, 0)
            self.assertAlmostEqual(ms * 1000, round(ms * 1000), places=6)  # to the microsecond
        row = next(line for line in done.stdout.splitlines() if line.lstrip().startswith("c "))
        self.assertEqual(row.split()[1:3] + row.split()[-1:], ["rustaudioconvert", "300", "ok"])

    def test_all_measures_stock_elements_too(self):
        done, execution = self.run_json("--all", "--", *LINE)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        nodes = {n["id"]: n for n in execution["nodes"]}
        self.assertLessEqual({"audiotestsrc0", "c", "r", "s"}, set(nodes))
        self.assertEqual(nodes["audiotestsrc0"]["buffers"], 300)
        self.assertGreater(nodes["audiotestsrc0"]["execution_time_ms"], 0)
        self.assertIn("real_time_factor", nodes["c"])
        for n in nodes.values():
            self.assertLessEqual(KEYS, set(n))

    def test_takes_a_pasted_gst_launch_line(self):
        done = cli("run", "--", "gst-launch-1.0", "-m", "-e", *LINE)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_words_with_spaces_stay_whole_as_in_gst_launch(self):
        path = self.folder / "a file with spaces.raw"
        done = cli("run", "--", "audiotestsrc", "num-buffers=2", "!", "rustaudioconvert", "!",
                   "audio/x-raw, format=S16LE, channels=1", "!", "filesink", f"location={path}")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(path.stat().st_size, 2 * 1024 * 2)

    def test_json_to_standard_output_is_json_alone(self):
        done = cli("run", "--json", "-", "--", *LINE)
        self.assertEqual(json.loads(done.stdout)["pipeline_execution"]["outcome"], "finished")
        self.assertIn("rustaudioconvert", done.stderr)

    def test_an_error_gives_status_1_and_the_elements_texts(self):
        done, execution = self.run_json(
            "--", "audiotestsrc", "!", "rustaudioconvert", "name=c", "!", "identity", "name=i", "error-after=3",
            "!", "fakesink")
        self.assertEqual(done.returncode, 1)
        self.assertIn("ERROR: i: ", done.stderr)
        self.assertIn("gst_identity_transform_ip", done.stderr)
        self.assertEqual((execution["outcome"], execution["errors"][0]["id"]), ("failed", "i"))
        nodes = {n["id"]: n for n in execution["nodes"]}
        self.assertEqual((nodes["i"]["status"], nodes["i"]["execution_time_ms"]), ("failed", None))
        self.assertEqual(nodes["c"]["buffers"], 3)

    def test_a_pipeline_that_does_not_start(self):
        done, execution = self.run_json("--", "filesrc", "name=f", "location=/nonexistent", "!", "fakesink")
        self.assertEqual(done.returncode, 1)
        self.assertIn('ERROR: f: ', done.stderr)
        self.assertIn("/nonexistent", done.stderr)
        self.assertEqual(execution["outcome"], "failed")

    def test_a_traceback_of_a_node_reaches_the_user(self):
        module = self.node("broken.py", "class Broken:\n    def process(self, audio, ctx):\n        return audio.nope\n")
        done = cli("run", "--", "audiotestsrc", "num-buffers=5", "!", "pypipelinenode", "name=p",
                   f"module={module}", "class=Broken", "on-failure=error", "!", "fakesink")
        self.assertEqual(done.returncode, 1)
        self.assertIn("AttributeError", done.stderr)
        self.assertIn("broken.py", done.stderr)

    def test_wrong_lines(self):
        for words, text in [(["nosuchelement0", "!", "fakesink"], "nosuchelement0"), (["audiotestsrc", "!"], "erroneous"),
                            ([], "no pipeline")]:
            done = cli("run", "--", *words)
            self.assertEqual(done.returncode, 1, words)
            self.assertIn(text, done.stderr)
            self.assertNotIn("Traceback", done.stderr)

    def test_what_cannot_be_written_or_served_is_told_before_anything_plays(self):
        # Would play for ever.
        line = ["--", "audiotestsrc", "!", "fakesink"]
        for words, text in [(["--json", "/nonexistent/a.json"], "No such file or directory: '/nonexistent/a.json'"),
                            (["--html", str(self.folder)], f"Is a directory: '{self.folder}'"),
                            *[(["--prometheus", port], f"argument --prometheus: {port} is no port: give 1 to 65535, or 0 "
                               "for one that is free") for port in ("65536", "9" * 5000, "-1", "http", "")]]:
            done = cli("run", *words, *line)
            self.assertEqual(done.returncode, 2, words)
            self.assertIn(text, done.stderr)
            self.assertNotIn("Traceback", done.stderr)

    def interrupt(self, line, times):
        path = self.folder / "run.json"
        process = subprocess.Popen(
            [sys.executable, "-m", "gstrustaudio", "run", "--json", str(path), "--prometheus", "0", "--", *line],
            env=environment(), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.kill)
        url = process.stderr.readline().split()[-1]
        # Once the element has counted buffers, the pipeline runs.
        from urllib.request import urlopen
        while "rustaudio_buffers_total{" not in urlopen(url, timeout=PATIENCE).read().decode():
            self.assertIsNone(process.poll())
        for _ in range(times):
            process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
        return process.returncode, json.loads(path.read_text())["pipeline_execution"], out, err

    def test_ctrl_c_ends_with_eos_and_all_outputs(self):
        wav = self.folder / "out.wav"
        status, execution, out, _ = self.interrupt(
            ["audiotestsrc", "is-live=true", "samplesperbuffer=480", "!", "audio/x-raw,rate=48000", "!",
             "rustaudioconvert", "name=c", "metrics-interval=50000000", "!", "audio/x-raw,format=S16LE,channels=1",
             "!", "wavenc", "!", "filesink", f"location={wav}"], 1)
        self.assertEqual((status, execution["outcome"]), (130, "interrupted"))
        (node,) = execution["nodes"]
        self.assertIn("rustaudioconvert", out)
        # EOS came through: the header has the length of what was processed.
        import wave
        with wave.open(str(wav)) as w:
            self.assertEqual(w.getnframes(), node["buffers"] * 480)

    def test_ctrl_c_ends_a_pipeline_that_does_not_heed_eos(self):
        status, execution, _, _ = self.interrupt(
            ["audiotestsrc", "is-live=true", "!", "rustaudioconvert", "metrics-interval=50000000", "!", "identity",
             "drop-buffer-flags=corrupted", "!", "fakesink", "async=false", "appsrc", "is-live=true", "!", "fakesink",
             "async=false"], 2)
        self.assertEqual((status, execution["outcome"]), (130, "interrupted"))
        self.assertEqual(len(execution["nodes"]), 1)

    def hung(self, line, signals, grace=1e9):
        """Plays ``line``, whose node prints "here" before it hangs, until it has; then sends ``signals``, each when the
        one before it was heard. Exit status, document, standard error."""
        path = self.folder / "run.json"
        program = ("import functools, sys\nfrom gstrustaudio import runner\nfrom gstrustaudio.__main__ import main\n"
                   "runner.play_line = functools.partial(runner.play_line, grace=float(sys.argv[1]))\n"
                   "sys.exit(main(sys.argv[2:]))\n")
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(grace), "run", "--json", str(path), "--", *line],
            env=environment(), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.kill)
        said = []

        def heard(word):
            while not said or word not in said[-1]:
                said.append(process.stderr.readline())
                self.assertNotEqual(said[-1], "", f"{word}: {said}")

        heard("here")
        for number, word in zip(signals, ["again to stop", "again to leave", None]):
            process.send_signal(number)
            if word is not None and grace > 1000:
                heard(word)
        _, rest = process.communicate(timeout=PATIENCE)
        err = "".join(said) + rest
        self.assertNotIn("Traceback", err)
        execution = json.loads(path.read_text())["pipeline_execution"]
        path.unlink()
        return process.returncode, execution, err

    def hang(self, where):
        """A node that prints and hangs there: ``module``, ``init``, ``process`` or ``stop``."""
        hangs = "print('here', file=sys.stderr, flush=True); threading.Event().wait()"
        does = {w: hangs if w == where else "pass" for w in ("module", "init", "process", "stop")}
        path = self.folder / f"{where}.py"
        path.write_text(f"import sys, threading\n{does['module']}\nclass Node:\n"
                        f"    def __init__(self): {does['init']}\n    def process(self, audio, ctx): {does['process']}\n"
                        f"    def stop(self): {does['stop']}\n")
        return ["pypipelinenode", f"module={path}", "class=Node"]

    def test_a_node_that_never_returns_does_not_keep_the_tool(self):
        stuck = ["does not stop: a call in one of its elements does not end"]
        term, twice, thrice = [signal.SIGTERM], [signal.SIGTERM, signal.SIGINT], [signal.SIGTERM] * 3
        for where, isolation, live, signals, grace, errors in [
            # The element ends its worker.
            ("process", "process", "true", twice, 1e9, []),
            ("process", "process", "false", twice, 1e9, []),
            # Nobody can end a call in this process.
            ("process", "inprocess", "true", thrice, 1e9, stuck),
            ("process", "inprocess", "false", thrice, 1e9, stuck),
            ("process", "inprocess", "true", term, 0.1, stuck),
            ("module", "inprocess", "true", thrice, 1e9, stuck),
            ("init", "inprocess", "true", term, 0.1, stuck),
        ]:
            with self.subTest(where, isolation=isolation, live=live, signals=len(signals)):
                status, execution, err = self.hung(
                    ["audiotestsrc", f"is-live={live}", "!", "audio/x-raw,format=F32LE", "!", *self.hang(where),
                     f"isolation={isolation}", "!", "fakesink"], signals, grace)
                self.assertEqual((status, execution["outcome"]), (130, "interrupted"), err)
                self.assertEqual([e["message"] for e in execution["errors"]], errors)
                self.assertEqual("a call in one" in err, bool(errors))

    def test_a_run_that_is_left_behind_after_its_end_was_interrupted(self):
        status, execution, _ = self.hung(
            ["audiotestsrc", "num-buffers=5", "!", "audio/x-raw,format=F32LE", "!", *self.hang("stop"), "!", "fakesink"],
            [signal.SIGINT], 0.1)
        self.assertEqual((status, execution["outcome"]), (130, "interrupted"))


class Report(InFolder):
    def test_saved_output_of_gst_launch_gives_the_same_figures(self):
        saved = self.folder / "messages.txt"
        with open(saved, "w") as f:
            subprocess.run(["gst-launch-1.0", "-m", *LINE], env=environment(), stdout=f, check=True, timeout=PATIENCE)
        path = self.folder / "run.json"
        done = cli("report", str(saved), "--json", str(path), "--html", str(self.folder / "run.html"))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        execution = json.loads(path.read_text())["pipeline_execution"]
        self.assertEqual([(n["id"], n["buffers"]) for n in execution["nodes"]], [("c", 300), ("r", 300)])
        self.assertGreater(execution["total_time_ms"], 0)
        self.assertIn("<svg", (self.folder / "run.html").read_text())

    def test_what_is_no_such_output_is_refused(self):
        for text, wanted in [("", "no message of the rustaudio plugin"), ("Hello\n", "no message")]:
            saved = self.folder / "other.txt"
            saved.write_text(text)
            done = cli("report", str(saved))
            self.assertEqual(done.returncode, 2)
            self.assertIn(wanted, done.stderr)
        done = cli("report", str(self.folder / "missing.txt"))
        self.assertEqual(done.returncode, 2)
        self.assertIn("missing.txt", done.stderr)

    def test_a_reader_that_leaves_is_no_crash(self):
        saved = self.folder / "messages.txt"
        with open(saved, "w") as f:
            subprocess.run(["gst-launch-1.0", "-m", *LINE], env=environment(), stdout=f, check=True, timeout=PATIENCE)
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run([sys.executable, "-m", "gstrustaudio", "report", str(saved)], env=environment(),
                              stdout=writer, stderr=subprocess.PIPE, text=True, timeout=PATIENCE)
        os.close(writer)
        self.assertEqual((done.returncode, done.stderr), (1, ""))

    def test_reading_saved_text_takes_no_gstreamer(self):
        code = "import sys, gstrustaudio, gstrustaudio.report; sys.exit('gi' in sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], env=environment(), timeout=PATIENCE)
        self.assertEqual(done.returncode, 0)


if __name__ == "__main__":
    unittest.main()
