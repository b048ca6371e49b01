"""The package as pip installs it: stubs, doctests, the plugin in it."""
from __future__ import annotations

import doctest
import importlib
import importlib.metadata
import importlib.util
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import gstrustaudio
from gstrustaudio import _native

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


class Package(unittest.TestCase):
    def test_examples_of_every_docstring_do_what_they_say(self) -> None:
        finder, runner = doctest.DocTestFinder(exclude_empty=False), doctest.DocTestRunner()
        tried = 0
        for name in dir(_native):
            value = getattr(_native, name)
            if name.startswith("_") or not callable(value):
                continue
            found = finder.find(value, name, module=False, globs={})
            self.assertTrue(value.__doc__, name)
            for example in found:
                tried += runner.run(example).attempted
        self.assertEqual(runner.summarize().failed, 0)
        self.assertGreater(tried, 5)

    def test_examples_of_the_documentation_do_what_they_say(self) -> None:
        found = doctest.testfile(str(ROOT / "docs" / "numpy.md"), module_relative=False)
        self.assertEqual(found.failed, 0)
        self.assertGreater(found.attempted, 8)

    def test_the_tour_of_the_documentation_draws_its_pictures(self) -> None:
        if importlib.util.find_spec("matplotlib") is None:
            self.skipTest("matplotlib is in newest.txt only")
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run([sys.executable, str(ROOT / "examples" / "numpy_tour.py"), folder],
                                  capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            drawn = sorted(os.listdir(folder))
        self.assertEqual(drawn, sorted(p.name for p in (ROOT / "docs" / "img").glob("numpy-*.svg")))
        page = (ROOT / "docs" / "numpy.md").read_text(encoding="utf-8")
        self.assertEqual([name for name in drawn if f"(img/{name})" not in page], [])
        # Two clips of two words each; the stream hears what the whole does.
        self.assertEqual(done.stdout.count("'start'"), 4)
        self.assertEqual([done.stdout.count(word) for word in ("speech from", "silence from")], [4, 4])
        self.assertTrue(done.stdout.endswith("4.24 s of 4.24 in the file\n"), done.stdout)

    def test_stubs_say_what_the_compiled_module_has(self) -> None:
        if importlib.util.find_spec("mypy") is None:
            self.skipTest("mypy is in newest.txt only")
        done = subprocess.run([sys.executable, "-m", "mypy.stubtest", "gstrustaudio._native"],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_a_program_that_uses_it_passes_mypy_strict(self) -> None:
        if importlib.util.find_spec("mypy") is None:
            self.skipTest("mypy is in newest.txt only")
        done = subprocess.run([sys.executable, "-m", "mypy", "--strict", "--config-file=", str(HERE / "typed.py")],
                              capture_output=True, text=True, cwd=tempfile.gettempdir())
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_all_names_are_there(self) -> None:
        for name in gstrustaudio.__all__:
            # PyGObject is not in this virtualenv.
            if name not in gstrustaudio._LIVE:
                self.assertIsNotNone(getattr(gstrustaudio, name))

    def test_all_names_are_imported_where_there_is_no_pygobject(self) -> None:
        code = "from gstrustaudio import *; print(resample([0.0], 3, 2).shape, RetryPolicy().max_retries)"
        found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        self.assertEqual(found.stdout, "(1,) 3\n")

    def test_neither_gstreamer_nor_pygobject_is_imported(self) -> None:
        code = "import sys, gstrustaudio; gstrustaudio.resample([0.0], 3, 2); print('gi' in sys.modules)"
        found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        self.assertEqual(found.stdout, "False\n")

    def test_what_corpus_asks_for_is_built_from_no_sources(self) -> None:
        asked = [r for r in importlib.metadata.requires("gstrustaudio") or [] if "extra == 'corpus'" in r.replace('"', "'")]
        self.assertEqual([r.split(">")[0] for r in asked], ["pyarrow", "numpy", "tqdm"])

    def test_gstreamer_finds_the_plugin(self) -> None:
        env = subprocess.run([sys.executable, "-m", "gstrustaudio", "env"], capture_output=True, text=True, check=True)
        with tempfile.TemporaryDirectory() as folder:
            found = subprocess.run(
                ["sh", "-c", f"{env.stdout}\n" 'gst-inspect-1.0 rustresample; echo "$GST_PLUGIN_PATH"'],
                env={**os.environ, "GST_PLUGIN_PATH": "/other", "GST_REGISTRY": f"{folder}/registry"},
                capture_output=True, text=True, check=True,
            )
        path = gstrustaudio.plugin_path()
        self.assertIn(f"Filename                 {path}\n", found.stdout)
        self.assertTrue(found.stdout.endswith(f"{path.parent}:/other\n"), found.stdout[-200:])

    def test_the_sources_say_what_they_lack(self) -> None:
        code = f"import sys; sys.path.insert(0, {str(ROOT / 'python')!r}); import gstrustaudio\n" \
            "assert gstrustaudio.Metrics\n" \
            "for function in (lambda: gstrustaudio.resample, gstrustaudio.plugin_path):\n" \
            "    try: function()\n" \
            "    except Exception as e: print(type(e).__name__, e)\n"
        found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        modules, plugin = found.splitlines()
        advice = "build the wheel with scripts/wheel.sh and install it with pip"
        self.assertTrue(modules.startswith("ModuleNotFoundError") and modules.endswith(advice), modules)
        self.assertTrue(plugin.startswith("PluginError") and plugin.endswith(advice), plugin)

    def test_the_systems_plugin_serves_a_copy_without_one(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            plugin = Path(folder) / "libgstrustaudio.so"
            plugin.touch()
            code = f"import sys, pathlib; sys.path.insert(0, {str(ROOT / 'python')!r}); from gstrustaudio import plugin\n" \
                f"plugin._SYSTEM = pathlib.Path({folder!r}); print(plugin.plugin_path())"
            found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        self.assertEqual(found, f"{plugin}\n")


if __name__ == "__main__":
    unittest.main()
