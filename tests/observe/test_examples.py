"""What the examples say of arguments that are none."""
import subprocess
import sys
from socket import socket

from support import PATIENCE, ROOT, InFolder, environment, unittest


def example(name, *words):
    return subprocess.run([sys.executable, str(ROOT / "examples" / name), *words], env=environment(),
                          capture_output=True, text=True, timeout=PATIENCE)


class Arguments(InFolder):
    def refused(self, status, text, name, *words):
        done = example(name, *words)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertIn(text, done.stderr)
        self.assertNotIn("Traceback", done.stderr)
        return done.stderr

    def test_a_port_that_is_taken_is_told_in_a_line(self):
        with socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = str(taken.getsockname()[1])
            told = self.refused(1, f"metrics: cannot listen on port {port}: ", "rtsp_server.py", "--port", "0", "--prometheus", port)
            self.assertEqual(told.count("\n"), 1, told)
            told = self.refused(1, f"flaky_server: cannot listen on port {port}: ", "flaky_server.py", port)
            self.assertEqual(told.count("\n"), 1, told)
        self.refused(2, "argument --prometheus: invalid port value: '65536'", "rtsp_server.py", "--prometheus", "65536")

    def test_properties_that_are_none_are_named(self):
        told = self.refused(2, 'segments: no property "nosuch" in element "rustvad"', "segments.py", "a.wav", "nosuch=1")
        self.assertEqual(told.count("\n"), 1, told)

    def test_help_is_given(self):
        for name in ("flaky_server.py", "rtsp_server.py", "segments.py"):
            done = example(name, "--help")
            self.assertEqual((done.returncode, done.stderr), (0, ""), name)
            self.assertIn(f"examples/{name}", done.stdout)
        self.refused(2, "argument PORT: invalid int value: 'http'", "flaky_server.py", "http")


if __name__ == "__main__":
    unittest.main()
