#!/usr/bin/python3
"""Holds many RTSP clients on examples/rtsp_server.py and checks that the server stays well.

    tools/rtsp_soak.py --clients 50 --seconds 600

Clients (rtspsrc over TCP) all stay for the whole time, or for --session seconds each and are then
followed by new ones. Fails if the server's memory drifts, if a client gets no audio, or if a final
metrics message of any element of any client is missing. Prints a summary as JSON."""
from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Dict, List

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402

SERVER = Path(__file__).resolve().parents[1] / "examples" / "rtsp_server.py"
ELEMENTS = ["convert", "node", "out", "resample", "vad"]


class Client:
    """One rtspsrc that counts what it gets."""

    def __init__(self, url: str) -> None:
        self.buffers = 0
        self.pipeline = Gst.parse_launch(
            f"rtspsrc location={url} protocols=tcp latency=0 ! fakesink name=sink sync=false")
        pad = self.pipeline.get_by_name("sink").get_static_pad("sink")
        pad.add_probe(Gst.PadProbeType.BUFFER, self._count)
        self.pipeline.set_state(Gst.State.PLAYING)

    def _count(self, _pad: Any, _info: Any) -> Any:
        self.buffers += 1
        return Gst.PadProbeReturn.OK

    def error(self) -> str:
        message = self.pipeline.get_bus().pop_filtered(Gst.MessageType.ERROR)
        return "" if message is None else message.parse_error()[0].message

    def leave(self) -> None:
        self.pipeline.set_state(Gst.State.NULL)


class ServerProcess:
    """examples/rtsp_server.py and what it says."""

    def __init__(self, words: List[str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(SERVER), "--json", "--port", "0", *words],
            stdout=subprocess.PIPE, text=True)
        self.gone: Dict[str, Dict[str, Any]] = {}
        self.here = 0
        self._changed = threading.Condition()
        first = self.process.stdout.readline() if self.process.stdout else ""
        if not first:
            raise SystemExit("the server did not start")
        self.url: str = json.loads(first)["url"]
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            event = json.loads(line)
            with self._changed:
                if event["event"] == "gone":
                    self.gone[event["client"]] = event
                else:
                    self.here += 1
                self._changed.notify_all()

    def wait_gone(self, clients: int, seconds: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: len(self.gone) >= clients, seconds)

    def rss(self) -> int:
        """Resident bytes now."""
        with open(f"/proc/{self.process.pid}/statm") as f:
            return int(f.read().split()[1]) * 4096

    def threads(self) -> int:
        return sum(1 for _ in Path(f"/proc/{self.process.pid}/task").iterdir())

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._reader.join()
        if self.process.stdout:
            self.process.stdout.close()


def soak(clients: int, seconds: float, session: float, ramp: float, drift_limit: float,
         words: List[str]) -> Dict[str, Any]:
    """Runs it; what was measured and what was wrong."""
    wrong: List[str] = []
    server = ServerProcess(words)
    try:
        alone = server.rss()
        active: List[Client] = []
        born: List[float] = []
        done = 0
        samples: List[int] = []
        for _ in range(clients):
            active.append(Client(server.url))
            born.append(time.monotonic())
            time.sleep(ramp)
        started = time.monotonic()
        while time.monotonic() - started < seconds:
            time.sleep(min(1.0, seconds / 40))
            samples.append(server.rss())
            for i, client in enumerate(active):
                error = client.error()
                if error:
                    wrong.append(f"a client failed: {error}")
                stayed = time.monotonic() - born[i]
                # A server short of time may take longer than a session to send the first packet.
                if session and stayed > session and (client.buffers or stayed > session + 20):
                    client.leave()
                    if not client.buffers:
                        wrong.append("a client got no audio")
                    done += 1
                    active[i], born[i] = Client(server.url), time.monotonic()
        threads = server.threads()
        # The last ones may have come just now.
        patience = time.monotonic() + 20
        while not all(c.buffers for c in active) and time.monotonic() < patience:
            time.sleep(0.05)
        for client in active:
            client.leave()
            if not client.buffers:
                wrong.append("a client got no audio")
        total = done + len(active)
        if not server.wait_gone(total, 90):
            wrong.append(f"{total - len(server.gone)} of {total} clients were not reported as gone")
        for name, event in sorted(server.gone.items()):
            missing = sorted(set(ELEMENTS) - set(event["final"]))
            if missing:
                wrong.append(f"{name}: no final message of {', '.join(missing)}")
            for node in event["execution"]["nodes"]:
                if node["status"] != "ok":
                    wrong.append(f"{name}: {node['id']} is {node['status']}: {node['last_error']}")
        # Filling caches and sessions takes a while: the second quarter is the base.
        quarter = max(len(samples) // 4, 1)
        before, after = statistics.median(samples[quarter : 2 * quarter] or samples), statistics.median(samples[-quarter:])
        drift = after / before - 1
        if 100 * drift > drift_limit:
            wrong.append(f"RSS grew by {100 * drift:.1f} %")
        return {
            "clients": total, "at_once": clients, "seconds": seconds, "final_messages": sum(len(e["final"]) for e in server.gone.values()),
            "buffers": sum(n["buffers"] for e in server.gone.values() for n in e["execution"]["nodes"] if n["id"] == "vad"),
            "rss_alone_mb": round(alone / 1e6, 2), "rss_second_quarter_mb": round(before / 1e6, 2),
            "rss_last_quarter_mb": round(after / 1e6, 2), "rss_drift_percent": round(100 * drift, 3),
            "server_threads": threads, "wrong": wrong,
        }
    finally:
        server.stop()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=50, help="at once (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=600, help="(default: %(default)s)")
    parser.add_argument("--session", type=float, default=0, help="seconds that a client stays; 0: to the end")
    parser.add_argument("--ramp", type=float, default=0.1, help="seconds between first clients (default: %(default)s)")
    parser.add_argument("--drift", type=float, default=2, help="growth of RSS that is allowed, in %% (default: %(default)s)")
    parser.add_argument("server", nargs="*", help="arguments of rtsp_server.py, after --")
    args = parser.parse_args()
    Gst.init(None)
    result = soak(args.clients, args.seconds, args.session, args.ramp, args.drift, args.server)
    print(json.dumps(result, indent=2))
    return 1 if result["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
