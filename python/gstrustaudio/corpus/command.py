# SPDX-License-Identifier: MIT
"""``gstrustaudio corpus``: the command line."""
from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
from typing import Any, Dict

from .inputs import EXTENSIONS, InputError
from .ledger import LedgerError
from .names import is_unicode, printable
from .options import AUDIO_FORMATS, DETECTORS, SAMPLE_FORMATS, OptionError, Options, node_source
from .parquet import MissingPackage
from .pool import Stop
from .result import DONE, FAILED, PENDING, SKIPPED
from .run import EngineMaker, Job, Outcome, local_engine, plan, run
from .storage import StorageError

DESCRIPTION = """Finds speech in many files: one pipeline a file, in a pool of processes or on Ray.

  python3 -m gstrustaudio corpus recordings/ more/*.mp3 --out corpus --audio segments

INPUT: files, folders, globs, URLs, manifests (.txt one path a line, .csv, .jsonl, .parquet), or - for paths from
standard input, a line each or with a zero byte after each. Results in DIR:
files.parquet, segments.parquet, times.parquet, nemo.jsonl, lhotse_*.jsonl, kaldi/, corpus.json, report.html.
What has ended is not done again: run the same command after an interruption, or with further inputs.

Exit status: 0 every file is done or skipped, 1 some failed, 2 wrong arguments or nothing could be done,
3 stopped before the end (no space left, …), 130 after Ctrl-C."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("inputs", nargs="*", metavar="INPUT", help="files, folders, globs, URLs or manifests")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder or URL (s3://, gs://) of the results")
    sound = parser.add_argument_group("audio that is listened to and written")
    sound.add_argument("--rate", type=int, default=16000, metavar="HZ", help="default: %(default)s")
    sound.add_argument("--channels", type=int, default=1, metavar="N", help="default: %(default)s")
    sound.add_argument("--format", choices=SAMPLE_FORMATS, default="S16LE", help="default: %(default)s")
    sound.add_argument("--audio", choices=("none", "whole", "segments"), default="none",
                       help="write each file whole, or a file for each segment (default: %(default)s)")
    sound.add_argument("--audio-format", choices=tuple(AUDIO_FORMATS), default="wav", help="default: %(default)s")
    speech = parser.add_argument_group("speech (seconds; as rustvad's properties, and with their defaults)")
    speech.add_argument("--detector", choices=DETECTORS, default="neural", help="default: %(default)s")
    for name in ("threshold", "release-threshold", "energy-threshold", "look-ahead", "min-speech", "min-silence",
                 "speech-pad", "max-speech"):
        speech.add_argument(f"--{name}", type=float, metavar="DBFS" if name.startswith("energy") else "P" if "thr" in name else "S")
    node = parser.add_argument_group("a Python node that gets each utterance (docs/pypipelinenode.md)")
    node.add_argument("--node", default="", metavar="MODULE:NAME", help="module:Class, path.py:Class or module:function")
    node.add_argument("--node-kwargs", default="", metavar="JSON", help="keyword arguments, as a JSON object")
    node.add_argument("--node-path", default="", metavar="DIRS", help="folders put in front of sys.path")
    node.add_argument("--node-timeout", type=float, metavar="S",
                      help="longest call; the node gets a process of its own, which is killed when it takes longer")
    node.add_argument("--node-retries", type=int, metavar="N", help="after a failure that may pass (default: 3)")
    node.add_argument("--node-failure", choices=("fail", "pass"), default="fail",
                      help="what becomes of a file whose node fails for good: it failed, or it is done and the failure "
                           "is noted among its warnings (default: %(default)s)")
    work = parser.add_argument_group("the run")
    work.add_argument("--workers", type=int, default=0, metavar="N", help="processes (default: one a core)")
    work.add_argument("--ray", nargs="?", const="", metavar="ADDRESS",
                      help="work on Ray: on this machine, or on the cluster at ADDRESS (auto: the one that runs here)")
    work.add_argument("--timeout", type=float, default=300.0, metavar="S",
                      help="a file that makes no progress for so long has failed (default: %(default)g)")
    work.add_argument("--limit", type=int, metavar="N", help="work on N files at most")
    work.add_argument("--retry-failed", action="store_true", help="do those that failed again")
    work.add_argument("--redo", action="store_true", help="do everything anew, with other settings for instance")
    work.add_argument("--ext", metavar="LIST", help="endings by which files in folders are taken, as in wav,flac")
    work.add_argument("--work", default="", metavar="DIR", help="folder of the ledger (default: DIR/.corpus of --out)")
    work.add_argument("--dry-run", action="store_true", help="say what would be done")
    work.add_argument("--quiet", action="store_true", help="print errors only")


def _options(args: argparse.Namespace) -> Options:
    names = ("rate", "channels", "format", "detector", "threshold", "release_threshold", "energy_threshold",
             "look_ahead", "min_speech", "min_silence", "speech_pad", "max_speech", "node_kwargs", "node_timeout",
             "node_retries", "node_failure", "audio", "audio_format", "timeout")
    fields: Dict[str, Any] = {name: getattr(args, name) for name in names}
    node = args.node
    if node and os.path.exists(node.rpartition(":")[0]):
        module, _, name = node.rpartition(":")
        node = f"{os.path.abspath(module)}:{name}"
    path = os.pathsep.join(os.path.abspath(p) for p in args.node_path.split(os.pathsep) if p)
    return Options(node=node, node_path=path, node_source=node_source(node, path) if node else "", **fields)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _job(args: argparse.Namespace) -> Job:
    for name, folder in (("--out", args.out), ("--work", args.work)):
        if not is_unicode(folder):
            raise OptionError(f"{name} {printable(folder)}: tables name files there, so its name has to be UTF-8")
    for name, value in (("--workers", args.workers), ("--limit", args.limit)):
        if value is not None and value < (0 if name == "--workers" else 1):
            raise OptionError(f"{name} {value}: give 1 or more")
    extensions = EXTENSIONS
    if args.ext:
        extensions = frozenset(e.strip().lstrip(".").lower() for e in args.ext.split(",") if e.strip())
    command = shlex.join(["gstrustaudio", *sys.argv[1:]]).encode("utf-8", "backslashreplace").decode()
    return Job(args.inputs, args.out, args.work, args.workers or _cores(), args.limit, args.retry_failed, args.redo,
               args.quiet, extensions, command)


def _engine(args: argparse.Namespace) -> EngineMaker:
    if args.ray is None:
        return local_engine
    from .cluster import cluster_engine

    return cluster_engine(args.ray)


def _last_words(outcome: Outcome, quiet: bool, out: str) -> None:
    counts = outcome.counts
    if outcome.reason:
        print(f"gstrustaudio: {outcome.reason}", file=sys.stderr)
        if outcome.detail:
            print(outcome.detail.rstrip(), file=sys.stderr)
    if quiet:
        return
    told = f"{counts[DONE]} done, {counts[FAILED]} failed, {counts[SKIPPED]} skipped"
    if counts[PENDING]:
        told += f", {counts[PENDING]} to do"
    if outcome.document is not None:
        corpus = outcome.document["corpus"]
        told += f"; {corpus['speech_s'] / 3600:.3f} h of speech in {corpus['audio_s'] / 3600:.3f} h, {corpus['segments']} segments"
    print(f"{told}: {out}")


def main(args: argparse.Namespace) -> int:
    """Runs the command; its exit status."""
    try:
        options, job = _options(args), _job(args)
        options.check()
        if args.dry_run:
            told = plan(job)
            print(f"{told['files']} files to do, {told['bytes'] / 1e6:.1f} MB; {told['ended']} have ended")
            for key in told["first"]:
                print("  " + os.fsencode(key).decode("utf-8", "backslashreplace"))
            return 0
        stop = Stop()

        def heard(*_: Any) -> None:
            if not stop.heeded:
                raise KeyboardInterrupt
            stop.ask()

        before = {s: signal.signal(s, heard) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            outcome = run(job, options, stop, _engine(args))
        finally:
            for s, handler in before.items():
                signal.signal(s, handler)
            stop.close()
    except KeyboardInterrupt:
        print("gstrustaudio: broken off before any file was worked on", file=sys.stderr)
        return 130
    except (OptionError, InputError, LedgerError, StorageError, MissingPackage) as e:
        print(f"gstrustaudio: {e}", file=sys.stderr)
        return 2
    _last_words(outcome, job.quiet, job.out)
    return _status(outcome)


def _status(outcome: Outcome) -> int:
    if outcome.outcome == "interrupted":
        return 130
    if outcome.outcome == "stopped":
        return 3 if outcome.later or outcome.files else 2
    return 1 if outcome.counts[FAILED] else 0


