#!/usr/bin/python3
"""An RTSP server whose media runs through all four elements, and that knows what each client costs.

    examples/rtsp_server.py --file speech.wav --prometheus 9464
    gst-launch-1.0 rtspsrc location=rtsp://127.0.0.1:8554/audio ! rtpL16depay ! audioconvert ! autoaudiosink

Every client has a pipeline of its own. A media server reads that pipeline's bus itself; its messages
are seen by synchronous emission, which is `gstrustaudio.connect(bus, callback, sync=True)`: no
message is lost, the final ones at the end of a client included.

Debian: gir1.2-gst-rtsp-server-1.0 gstreamer1.0-rtsp gstreamer1.0-plugins-good python3-gi
(and python3-prometheus-client for --prometheus)."""
from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, Callable, Dict, Optional

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "python"))

import gi  # noqa: E402

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

from gstrustaudio import Event, Run, connect, run_document  # noqa: E402

TONE = "audiotestsrc is-live=true wave=ticks samplesperbuffer=480 ! audio/x-raw,rate=48000,channels=2"
NODE = HERE / "nodes" / "gain.py"


def launch_line(source: str, node: str) -> str:
    """What each client gets: ``source`` as 16 kHz speech audio, through a Python node, as L16."""
    return (
        f"( {source} ! rustaudioconvert name=convert ! audio/x-raw,format=F32LE,channels=1 "
        "! rustresample name=resample ! audio/x-raw,rate=16000 "
        f"! rustvad name=vad min-silence=500000000 ! pypipelinenode name=node {node} "
        "! rustaudioconvert name=out ! audio/x-raw,format=S16BE "
        "! rtpL16pay name=pay0 pt=96 )"
    )


class Server:
    """Serves one mount point on one address; ``report`` gets what happens."""

    def __init__(self, line: str, address: str, port: int, report: Callable[[Dict[str, Any]], None],
                 exporter: Optional[Any] = None) -> None:
        self._report = report
        self._exporter = exporter
        self._clients = 0
        self._lock = threading.Lock()
        self._server = GstRtspServer.RTSPServer.new()
        self._server.set_address(address)
        self._server.set_service(str(port))
        factory = GstRtspServer.RTSPMediaFactory.new()
        factory.set_launch(line)
        factory.connect("media-configure", self._on_media)
        self._server.get_mount_points().add_factory("/audio", factory)
        if self._server.attach(None) == 0:
            raise OSError(f"cannot listen on {address}:{port}")
        # Sessions of clients that vanished end only when somebody looks.
        GLib.timeout_add_seconds(2, self._clean_up)
        self.url = f"rtsp://{address}:{self._server.get_bound_port()}/audio"

    def _clean_up(self) -> bool:
        self._server.get_session_pool().cleanup()
        return True

    def _on_media(self, _factory: Any, media: Any) -> None:
        with self._lock:
            self._clients += 1
            client = f"client{self._clients}"
        run = Run(pipeline=client, max_windows=0, max_kept=20)
        started = time.monotonic_ns()

        def on_event(event: Event) -> None:
            # From the thread that posts.
            with self._lock:
                run.add(event)

        # The server put it into a pipeline; elements are named from it on.
        element = media.get_element()
        disconnect = connect(element.get_parent().get_bus(), on_event, sync=True, below=element)
        if self._exporter is not None:
            self._exporter.watch(element, client)

        def on_unprepared(_media: Any) -> None:
            disconnect()
            run.total_time = time.monotonic_ns() - started
            with self._lock:
                run.close()
                document = run_document(run)["pipeline_execution"]
                final = sorted(m.element for m in run.latest.values() if m.final)
            # Before the report: who reads it may scrape at once.
            if self._exporter is not None:
                self._exporter.forget(client)
            self._report({"event": "gone", "client": client, "final": final, "segments": run.num_segments,
                          "execution": document})

        media.connect("unprepared", on_unprepared)
        self._report({"event": "client", "client": client})


def say(event: Dict[str, Any]) -> None:
    """One event as a person reads it."""
    if event["event"] == "listening":
        print(f"serving {event['url']}", flush=True)
    elif event["event"] == "client":
        print(f"{event['client']}: here", flush=True)
    else:
        execution = event["execution"]
        nodes = ", ".join(f"{n['id']} {1000 * n['p99_ms']:.0f} us" for n in execution["nodes"])
        print(f"{event['client']}: gone after {execution['total_time_ms'] / 1000:.1f} s, "
              f"{event['segments']} segments of speech; p99 per buffer: {nodes}", flush=True)


def port(text: str) -> int:
    """A number of a port; what argparse calls it where it is none."""
    number = int(text)
    if not 0 <= number < 1 << 16:
        raise ValueError(text)
    return number


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--address", default="127.0.0.1", help="where to listen (default: %(default)s)")
    parser.add_argument("--port", type=port, default=8554, help="0: any free one (default: %(default)s)")
    parser.add_argument("--file", help="audio file to serve (default: a tone)")
    parser.add_argument("--node", default=f'module="{NODE}" class=Gain',
                        help="properties of the pypipelinenode (default: %(default)s)")
    parser.add_argument("--prometheus", metavar="PORT", type=port, help="serve metrics on loopback (0: any free port)")
    parser.add_argument("--json", action="store_true", help="print events as JSON lines")
    args = parser.parse_args()
    Gst.init(None)
    exporter = None
    if args.prometheus is not None:
        from gstrustaudio.exporter import Exporter

        exporter = Exporter()
        try:
            url = exporter.serve(args.prometheus).url
        except OSError as e:
            print(f"rtsp_server: metrics: cannot listen on port {args.prometheus}: {e.strerror}", file=sys.stderr)
            return 1
        print(f"metrics at {url}", file=sys.stderr, flush=True)

    def report(event: Dict[str, Any]) -> None:
        if args.json:
            print(json.dumps(event), flush=True)
        else:
            say(event)

    source = TONE
    if args.file:
        path = str(Path(args.file).resolve()).replace("\\", "\\\\").replace('"', '\\"')
        source = f'filesrc location="{path}" ! decodebin'
    try:
        server = Server(launch_line(source, args.node), args.address, args.port, report, exporter)
    except OSError as e:
        print(f"rtsp_server: {e}", file=sys.stderr)
        return 1
    loop = GLib.MainLoop()
    for number in (signal.SIGINT, signal.SIGTERM):
        GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, number, loop.quit)
    report({"event": "listening", "url": server.url})
    loop.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
