# SPDX-License-Identifier: MIT
"""``python3 -m gstrustaudio``: runs pipelines, reports on them, and says where the plugin is."""
from __future__ import annotations

import argparse
import errno
import json
import os
import shlex
import sys
from contextlib import suppress
from typing import List, Optional, Sequence

from .corpus import command as corpus
from .document import run_document
from .messages import MessageError
from .plugin import PluginError, plugin_path
from .record import Run
from .table import summary
from .text import TextError, read_launch_output
from .waveform import read_wave

_RUN = """Plays what would follow gst-launch-1.0 and reports on it.

  python3 -m gstrustaudio run --html run.html -- filesrc location=a.wav ! decodebin ! rustvad ! fakesink

Exit status: 0 at the end of the stream, 1 for an error (the element's text and debug text go to
standard error), 130 after Ctrl-C, 2 for wrong arguments."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gstrustaudio", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser(
        "run",
        description=_RUN,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        help="play a gst-launch line and report on it",
        usage="%(prog)s [options] -- ELEMENT [PROPERTY=VALUE …] ! …",
    )
    run.add_argument("--prometheus", metavar="PORT", type=_port, help="serve metrics while it plays (0: any free port)")
    run.add_argument("--address", default="127.0.0.1", help="where to serve them (default: %(default)s)")
    run.add_argument("--all", action="store_true", help="measure every element, with the tracer rustaudiometrics")
    run.add_argument("--quiet", action="store_true", help="print no table")
    run.add_argument("line", nargs=argparse.REMAINDER, help="what would follow gst-launch-1.0")
    report = commands.add_parser("report", help="report on the saved output of gst-launch-1.0 -m")
    report.add_argument("messages", nargs="+", metavar="FILE",
                        help="file with the output (and one with its standard error); - for standard input")
    report.add_argument("--audio", metavar="WAV", help="show the waveform of this file")
    report.add_argument("--quiet", action="store_true", help="print no table")
    many = commands.add_parser(
        "corpus",
        description=corpus.DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        help="find speech in many files, cut it, run a node on it",
    )
    corpus.add_arguments(many)
    commands.add_parser(
        "env",
        help="print what makes GStreamer find the plugin of this package",
        description='Prints a line for the shell: eval "$(python3 -m gstrustaudio env)"',
    )
    for p in (run, report):
        p.add_argument("--json", metavar="FILE", help="write the pipeline document; - for standard output")
        p.add_argument("--html", metavar="FILE", help="write a page that shows the run")
    return parser


def _write(run: Run, args: argparse.Namespace) -> None:
    if args.json:
        text = json.dumps(run_document(run), indent=2, ensure_ascii=False) + "\n"
        if args.json == "-":
            sys.stdout.write(text)
        else:
            with open(args.json, "w", encoding="utf-8") as f:
                f.write(text)
    if args.html:
        from .report import html_report

        with open(args.html, "w", encoding="utf-8") as f:
            f.write(html_report(run))
    if not args.quiet:
        print(summary(run), file=sys.stderr if args.json == "-" else sys.stdout, flush=True)
    for e in run.errors:
        print("\n".join([f"ERROR: {e.path}: {e.text}", *(f"  {x}" for x in e.debug.splitlines())]),
              file=sys.stderr)


def _port(text: str) -> int:
    # Longer ones are none, and int() refuses those of thousands of digits.
    port = int(text) if text.isdecimal() and len(text) <= 5 else -1
    if not 0 <= port < 1 << 16:
        raise argparse.ArgumentTypeError(f"{text} is no port: give 1 to 65535, or 0 for one that is free")
    return port


def _check_writable(path: Optional[str]) -> None:
    """That a file at ``path`` can be written, before what it tells of takes hours."""
    if not path or path == "-":
        return
    folder = os.path.dirname(path) or "."
    code = errno.ENOENT if not os.path.isdir(folder) else errno.EISDIR if os.path.isdir(path) else 0
    if not code and not os.access(path if os.path.exists(path) else folder, os.W_OK):
        code = errno.EACCES
    if code:
        raise OSError(code, os.strerror(code), path)


def _run(args: argparse.Namespace) -> int:
    from .runner import LineError, play_line

    _check_writable(args.json)
    _check_writable(args.html)
    line: List[str] = args.line[1:] if args.line[:1] == ["--"] else args.line
    exporter = None
    if args.prometheus is not None:
        from .exporter import Exporter

        exporter = Exporter()
        server = exporter.serve(args.prometheus, args.address)
        print(f"metrics at {server.url}", file=sys.stderr, flush=True)
    try:
        run = play_line(
            line,
            waveform=bool(args.html),
            trace=args.all,
            on_event=None if exporter is None else exporter.add,
            say=lambda what: print(f"gstrustaudio: {what}", file=sys.stderr, flush=True),
        )
    except LineError as e:
        print(f"gstrustaudio: {e}", file=sys.stderr)
        return 1
    status = {"failed": 1, "interrupted": 130}.get(run.outcome, 0)
    if not run.stuck:
        _write(run, args)
        return status
    # A thread that is still in Python must not outlive the interpreter.
    try:
        _write(run, args)
    except OSError as e:
        status = 2
        print(f"gstrustaudio: {e}", file=sys.stderr)
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        os._exit(status)


def _report(args: argparse.Namespace) -> int:
    lines: List[str] = []
    for path in args.messages:
        if path == "-":
            lines += sys.stdin
        else:
            with open(path, encoding="utf-8", errors="replace") as f:
                lines += f
    run = read_launch_output(lines)
    if not run.latest and not run.segments and not run.errors:
        raise TextError(f"{args.messages[0]}: no message of the rustaudio plugin; was it `gst-launch-1.0 -m`?")
    if args.audio:
        run.waveform = read_wave(args.audio)
        if run.waveform is None:
            print(f"gstrustaudio: {args.audio}: no PCM .wav file of 16 or 32 bits", file=sys.stderr)
    _write(run, args)
    return 0


def _env(args: argparse.Namespace) -> int:
    folder = str(plugin_path().parent)
    print(f"export GST_PLUGIN_PATH={shlex.quote(folder)}${{GST_PLUGIN_PATH:+:$GST_PLUGIN_PATH}}")
    return 0


def main(argv: Optional[Sequence[str]] = None) -> int:
    args = _parser().parse_args(argv)
    try:
        return {"run": _run, "report": _report, "corpus": corpus.main, "env": _env}[args.command](args)
    except ImportError as e:
        packages = {"gi": "python3-gi and gir1.2-gst-plugins-base-1.0, for the system's /usr/bin/python3; a virtualenv has "
                          "them where that made it with --system-site-packages, or by pip install PyGObject",
                    "prometheus_client": "python3-prometheus-client"}
        hint = packages.get((e.name or "").split(".")[0])
        print(f"gstrustaudio: {e}" + (f" (Debian: {hint})" if hint else ""), file=sys.stderr)
        return 2
    except BrokenPipeError:
        # Whoever read the table has seen enough; Python would complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (OSError, MessageError, PluginError, TextError) as e:
        print(f"gstrustaudio: {e}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
