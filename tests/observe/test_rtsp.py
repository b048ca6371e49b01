"""The media server example, with real clients."""
import array
import json
import os
import re
import subprocess
import sys
import threading
import unittest
from urllib.request import urlopen

from support import PATIENCE, ROOT, GLib, Gst, InFolder, environment, speech

sys.path.insert(0, str(ROOT / "tools"))
import rtsp_soak  # noqa: E402

RATE = 16000
NAMES = ["convert", "node", "out", "resample", "vad"]
NODE = "class Half:\n    def process(self, audio, ctx):\n        audio *= 0.5\n"


def setUpModule():
    # rtspsrc of GStreamer 1.22 itself has criticals when it is stopped early; the server, a process
    # of its own, goes on without mercy.
    GLib.log_set_always_fatal(GLib.LogLevelFlags.LEVEL_ERROR)


def tearDownModule():
    if "fatal" in os.environ.get("G_DEBUG", ""):
        GLib.log_set_always_fatal(
            GLib.LogLevelFlags.LEVEL_ERROR | GLib.LogLevelFlags.LEVEL_CRITICAL | GLib.LogLevelFlags.LEVEL_WARNING)


class Client:
    """An rtspsrc that keeps the audio it gets."""

    def __init__(self, url, protocols="tcp"):
        self.samples = array.array("h")
        self._grown = threading.Condition()
        self.pipeline = Gst.parse_launch(
            f"rtspsrc location={url} protocols={protocols} latency=0 ! rtpL16depay ! fakesink name=s sync=false")
        self.pipeline.get_by_name("s").get_static_pad("sink").add_probe(Gst.PadProbeType.BUFFER, self._on_buffer)
        self.pipeline.set_state(Gst.State.PLAYING)

    def _on_buffer(self, _pad, info):
        buffer = info.get_buffer()
        part = array.array("h", buffer.extract_dup(0, buffer.get_size()))
        if sys.byteorder == "little":
            part.byteswap()
        with self._grown:
            self.samples.extend(part)
            self._grown.notify_all()
        return Gst.PadProbeReturn.OK

    def wait(self, seconds):
        with self._grown:
            if not self._grown.wait_for(lambda: len(self.samples) >= seconds * RATE, PATIENCE):
                error = self.pipeline.get_bus().pop_filtered(Gst.MessageType.ERROR)
                raise AssertionError(f"{len(self.samples)} frames came: {error and error.parse_error()}")

    def leave(self):
        self.pipeline.set_state(Gst.State.NULL)


class Server(InFolder):
    def start(self, *words):
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "examples" / "rtsp_server.py"), "--json", "--port", "0", *words],
            env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for last in (self.process.stderr.close, self.process.stdout.close, self.process.wait, self.process.kill):
            self.addCleanup(last)
        return self.event("listening")["url"]

    def event(self, kind):
        """The next event of ``kind``."""
        for line in self.process.stdout:
            event = json.loads(line)
            if event["event"] == kind:
                return event
        raise AssertionError(f"no {kind}: {self.process.stderr.read()}")

    def test_clients_get_the_audio_and_the_server_their_metrics(self):
        known = speech(self.folder)
        module = self.node("half.py", NODE)
        url = self.start("--file", str(self.folder / "speech.wav"), "--node", f"module={module} class=Half",
                         "--prometheus", "0")
        metrics_url = self.process.stderr.readline().split()[-1]
        self.assertTrue(url.startswith("rtsp://127.0.0.1:"), url)
        clients = [Client(url), Client(url, "udp")]
        for client in clients:
            self.addCleanup(client.leave)
            client.wait(2.7)
        # What TCP brought is the recording at half its level, resampled; the first utterance is where it was.
        heard = clients[0].samples
        start, end = known[0]
        peak = lambda a, b: max(abs(x) for x in heard[int(a * RATE) : int(b * RATE)])  # noqa: E731
        self.assertLess(peak(0.05, start - 0.1), 60)
        self.assertGreater(peak(start, end), 3000)
        self.assertLess(peak(end + 0.3, end + 0.5), 60)

        scraped = urlopen(metrics_url, timeout=PATIENCE).read().decode()
        for name in ("client1", "client2"):
            for element in NAMES:
                counted = rf'rustaudio_buffers_total{{element="{element}",factory="\w+",pipeline="{name}"}} (\d+)'
                self.assertGreater(int(re.search(counted, scraped).group(1)), 10)
            began = rf'rustaudio_speech_segments_total{{element="vad",pipeline="{name}"}} (\d+)'
            # The server is ahead of its clients, by how much is up to the machine.
            self.assertIn(int(re.search(began, scraped).group(1)), range(1, len(known) + 1))

        for client in clients:
            client.leave()
            gone = self.event("gone")
            self.assertEqual(gone["final"], NAMES)
            execution = gone["execution"]
            self.assertEqual(execution["pipeline"], gone["client"])
            self.assertIn(len(execution["segments"]), range(1, len(known) + 1))
            for segment, (begins, _) in zip(execution["segments"], known):
                self.assertLess(abs(segment["start_ms"] / 1000 - begins), 0.3)
            nodes = {n["id"]: n for n in execution["nodes"]}
            self.assertEqual({n["status"] for n in nodes.values()}, {"ok"})
            self.assertGreaterEqual(execution["total_time_ms"], 2000)
        scraped = urlopen(metrics_url, timeout=PATIENCE).read().decode()
        self.assertNotIn("client", scraped)

    def test_a_busy_port_is_an_error(self):
        url = self.start()
        done = subprocess.run(
            [sys.executable, str(ROOT / "examples" / "rtsp_server.py"), "--port", url.split(":")[2].split("/")[0]],
            env=environment(), capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(done.returncode, 1)
        self.assertIn("cannot listen on 127.0.0.1:", done.stderr)


class Soak(unittest.TestCase):
    def test_clients_that_come_and_go_lose_no_final_message(self):
        # The server inherits this process's environment. Too short for a verdict on memory: that
        # is the program's ten-minute run.
        result = rtsp_soak.soak(clients=6, seconds=4, session=1.2, ramp=0, drift_limit=50, words=[])
        self.assertEqual(result["wrong"], [])
        self.assertGreater(result["clients"], 6, "nobody came and went")
        self.assertEqual(result["final_messages"], 5 * result["clients"])


if __name__ == "__main__":
    unittest.main()
