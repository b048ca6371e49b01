#!/usr/bin/env python3
"""Runs each command of README.md, CONTRIBUTING.md and docs/ once, and writes how it ended.

    scripts/docs_commands.py --list           what would be run, and in whose place
    scripts/docs_commands.py [--table FILE [--resume]] [--only TEXT]

Commands are those of fenced blocks and those that stand in a sentence or a table. They run in this folder, those of one
document with the variables and the virtual environment of the ones before. RULES says which cannot run as they stand,
and why. A rule that fits no command is an error, as is a command that ends with another code than 0. --resume takes over
what FILE has of documents that went well and are as they were; of others, all is run again.
scripts/test_docs.sh does this in a chroot."""
import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = ["README.md", *sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs").glob("*.md")), "CONTRIBUTING.md"]
# What a command begins with, in a fence that names no language and between backticks.
PROGRAMS = (r"(?:sudo |[A-Z_]+=\S+ )*(?:(?:apt|cargo|gst-launch-1\.0|gst-inspect-1\.0|pip|python3?|/usr/bin/python3)(?= )"
            r"|scripts/\w+\.(?:sh|py)|tools/[\w/]+\.py|examples/\w+\.py|\.ci/run)")
# s, after which a command that has not ended hangs: what compiles for twenty minutes takes an hour and more on a
# machine with much else to do.
LONGEST = 7200


@dataclass
class Command:
    document: str
    line: int
    text: str
    language: str = "sh"


@dataclass
class Rule:
    """For commands of documents whose name begins with `where` and in which `text` is found. Without anything but `why`
    they are not run. `put` replaces pieces of them, `before` runs before them; what still runs after `seconds` is
    stopped, and is right if it ends with 124 then; `save` keeps the block in a file, as the text says; `code` is that of its
    end where it is not to be 0."""
    where: str
    text: str
    why: str
    put: dict[str, str] = field(default_factory=dict)
    before: str = ""
    seconds: int = 0
    save: str = ""
    code: int = 0
    used: bool = False

    @property
    def skips(self) -> bool:
        return not (self.put or self.before or self.seconds or self.save or self.code)


VENV = ("sudo apt install python3-venv python3-pip >/dev/null 2>&1 && python3 -m venv --clear --system-site-packages target/docs-venv"
        " && . target/docs-venv/bin/activate")
LINE = "audiotestsrc num-buffers=100 ! audio/x-raw,format=F32LE ! rustaudioconvert ! fakesink"
SOUNDS = "/usr/share/sounds/alsa"
GI = "sudo apt install python3-gi gir1.2-gst-plugins-base-1.0 >/dev/null 2>&1"
MEASURES = "measures for minutes on a machine of its own: the figures stand there; that it builds `.ci/run` sees to"
PEERS = "measures peers that are downloads of up to gigabytes; its head names them"
LABELLED = "needs labelled recordings that are not the project's"
OWN_CHROOTS = "makes chroots of its own: run by itself"
EXCERPT = "an excerpt of a program"
RULES = [
    # What is run elsewhere.
    Rule("", "scripts/test.sh", "an hour; `scripts/test_debian.sh` runs it in a chroot"),
    Rule("", ".ci/run", "an hour; runs on each change"),
    Rule("", "scripts/test_packages.sh", OWN_CHROOTS),
    Rule("", "scripts/test_debian.sh", OWN_CHROOTS),
    Rule("", "scripts/test_docs.sh", "this run"),
    Rule("", "scripts/docs_commands.py", "this run"),
    Rule("", "scripts/package_arm64.sh", OWN_CHROOTS),
    Rule("", "scripts/test_arm.sh", "emulates for an hour: run by itself"),
    Rule("", "scripts/release.sh", "wants a tag; run by itself"),
    Rule("", "scripts/check_msrv.sh", "wants rustup"),
    Rule("", "scripts/python_versions.sh", "wants Pythons that no release of Debian has together"),
    Rule("", "cargo cinstall", "`scripts/test_c.sh` runs it"),
    Rule("", "cargo install --locked cargo-c", "`scripts/test_c.sh` runs it"),
    Rule("", "cargo bench", MEASURES),
    Rule("", "scripts/peers.sh", MEASURES),
    Rule("", "--example cold_streams", MEASURES),
    Rule("", "--example convert_pipeline", MEASURES),
    Rule("", "--example resample_", MEASURES),
    Rule("", "--example many_pipelines", MEASURES),
    Rule("", "tools/count_instructions.py", "counts by valgrind what `.ci/run` counts"),
    Rule("", "tools/count_arm.py", "emulates a cross-built program for minutes: run by itself"),
    Rule("", "tools/bench_gst_python.py", MEASURES),
    Rule("", "scripts/tracer_cost.py", MEASURES),
    Rule("", "tools/bench_numpy", PEERS),
    Rule("", "tools/bench_corpus.py", PEERS),
    Rule("", "tools/vad_peers.py", PEERS),
    Rule("", "tools/vad_train", PEERS),
    Rule("", "tools/silero_", "wants the PyPI package of the network, which is not installed but unpacked"),
    Rule("docs/pypipelinenode.md", "pip install", "of measurements with peers; a download of gigabytes"),
    Rule("", "vad_eval", LABELLED),
    Rule("", "vad_fit", LABELLED),
    # What stands for something that the reader has.
    Rule("", "pip install \"$(scripts/wheel.sh)\"", "in a virtualenv, as the text says", before=VENV),
    Rule("README.md", "pip uninstall", "a yes", put={"uninstall": "uninstall -y"}),
    Rule("README.md", "gst-launch-1.0 …", "a line for …", put={"…": LINE}),
    Rule("README.md", "-m gstrustaudio run", "PyGObject, which the text names", before=GI),
    Rule("README.md", "gi.require_version", "PyGObject, which the text names", before=GI),
    Rule("README.md", "corpus recordings/", "a folder of recordings; pyarrow",
         before=f"pip install -q pyarrow 'numpy>=2' && {GI}", put={"recordings/": SOUNDS, "--out corpus": "--out target/corpus"}),
    Rule("docs/corpus.md", "corpus recordings/ more/", "the form; the worked example below it is run"),
    Rule("docs/corpus.md", "-m venv", "the package of venv", before="sudo apt install python3-venv >/dev/null 2>&1"),
    Rule("docs/corpus.md", "GST_PLUGIN_PATH=…", "the folder for …", put={"…": "$PWD/target/demo/plugins"}),
    Rule("docs/corpus.md", "corpus /usr/share/asterisk --out prompts", "1: a prompt without a sample has failed, as the text says",
         code=1),
    Rule("docs/corpus.md", "pyarrow.parquet", "pandas, in the virtualenv of above",
         before="venv/bin/pip install -q pandas && PATH=$PWD/venv/bin:$PATH"),
    Rule("docs/corpus.md", "--out corpus --ray ", "a folder of recordings", put={"recordings/": SOUNDS, "--out corpus": "--out target/ray"}),
    Rule("docs/corpus.md", "s3://", "wants an account of S3 and a cluster"),
    Rule("docs/corpus.md", "pip install fsspec", "in a virtualenv", before=VENV),
    Rule("docs/corpus.md", "tools/soak_corpus.py", "a form; the prompts of above, few files", put={
        "tools/soak_corpus.py": "venv/bin/python tools/soak_corpus.py /usr/share/asterisk 400 3"}),
    Rule("docs/first-node.md", "class Louder", "a file, as the text says", save="louder.py"),
    Rule("docs/first-node.md", "-m gstrustaudio run", "in `python/`, as the text says", before=f"{GI} && export PYTHONPATH=$PWD/python"),
    Rule("docs/numpy.md", "examples/numpy_tour.py", "matplotlib and av, which its head names; `python` of the virtualenv",
         before="pip install -q matplotlib av", put={"docs/img": "target", "examples/numpy_tour.py": "python examples/numpy_tour.py",
                                                     "python python": "python"}),
    Rule("docs/numpy.md", "import av", "PyAV; a file that is there", before="pip install -q av",
         put={"in.mp3": f"{SOUNDS}/Front_Center.wav"}),
    Rule("docs/observability.md", "gst-launch-1.0 -m …", "a line for …", put={"…": LINE}),
    Rule("docs/observability.md", "gst-launch-1.0 …", "a line for …", put={"…": LINE}),
    Rule("docs/observability.md", "export PYTHONPATH", "PyGObject, which the text names", before=GI),
    Rule("docs/observability.md", "examples/rtsp_server.py", "a server: left running for the next line",
         before="sudo apt install gir1.2-gst-rtsp-server-1.0 gstreamer1.0-rtsp python3-prometheus-client >/dev/null 2>&1",
         put={"9464": "9464 & sleep 4; kill -0 $!"}),
    Rule("docs/observability.md", "rtspsrc", "plays until it is stopped", seconds=20),
    Rule("docs/observability.md", "rtsp_soak", "five clients for ten seconds", put={"50": "5", "600": "10"}),
    Rule("docs/observability.md", "import Metrics, NodeFailure", EXCERPT),
    Rule("docs/observability.md", "exporter.serve", EXCERPT),
    Rule("docs/resilience.md", "from gstrustaudio import", EXCERPT),
    Rule("docs/speech.md", "from gstrustaudio import", EXCERPT),
    Rule("docs/vad.md", "-- PATH", "a recording", put={"PATH": "speech.wav"}),
    Rule("docs/vad.md", "-- FILE.wav", "a recording", put={"FILE.wav": "speech.wav", "out.svg": "target/out.svg"}),
    Rule("docs/vad.md", "-- FILE.svg", "a file", put={"FILE.svg": "target/rules.svg"}),
    Rule("docs/pypipelinenode.md", "scripts/make_speech.py", "docs/observability.md has the whole line"),
    Rule("", "scripts/test_c.sh", "compiles cargo-c for a quarter of an hour: run by itself"),
    Rule("CONTRIBUTING.md", "cargo test", "part of `scripts/test.sh`"),
    Rule("CONTRIBUTING.md", "tests/numpy", "hours; part of `scripts/test.sh`"),
]


def commands() -> list[Command]:
    found: list[Command] = []
    for document in DOCUMENTS:
        lines = (ROOT / document).read_text().splitlines()
        prose, at = [], 0
        while at < len(lines):
            fence = re.match(r"( *)```(\w*)$", lines[at])
            if not fence:
                prose.append((at + 1, lines[at]))
                at += 1
                continue
            start, at = at + 1, at + 1
            while not lines[at].strip().startswith("```"):
                at += 1
            found += [c for c in of_block(document, start, fence[2], textwrap.dedent("\n".join(lines[start:at])))
                      if "doctest" not in c.text or c.text != found[-1].text]
            at += 1
        # Once each, however often it is spoken of.
        for number, line in prose:
            for text in re.findall(rf"`({PROGRAMS}(?: [^`]*[^`-])?)`", line):
                if all(c.text.split("  #")[0].strip() != text for c in found):
                    found.append(Command(document, number, text))
    return found


def of_block(document: str, start: int, language: str, text: str) -> list[Command]:
    if language == "python" and text.startswith(">>>"):
        # All of a document are one session.
        return [Command(document, start, f"python3 -m doctest {document}")]
    if language == "python":
        return [Command(document, start, text, language)]
    if language not in ("", "sh") or (not language and not re.match(PROGRAMS, text)):
        return []
    joined = re.sub(r"\\\n *", "", text)
    return [Command(document, start, line) for line in joined.splitlines() if line.strip() and not line.startswith("#")]


def run(command: Command, rules: list[Rule], folder: Path, groups: list[int]) -> int:
    """Its exit code. Variables are handed on to the document's next command in a file."""
    text, limit, stops = command.text, LONGEST, False
    for rule in rules:
        for old, new in rule.put.items():
            text = text.replace(old, new)
    if command.language == "python":
        program = folder / "program.py"
        program.write_text(text)
        text = f"python3 {program}"
    for rule in rules:
        if rule.save:
            (ROOT / rule.save).write_text(command.text)
            text = f"test -s {rule.save}"
        if rule.before:
            text = f"{rule.before} && {{ {text}\n}}"
        if rule.seconds:
            limit, stops = rule.seconds, True
    script = 'set -a; touch "$1"; . "$1"; eval "$2"; code=$?; export -p >"$1"; exit $code'
    process = subprocess.Popen(["bash", "-c", script, "bash", folder / "variables", text], cwd=ROOT, stdin=subprocess.DEVNULL,
                               start_new_session=True)
    groups.append(process.pid)
    try:
        return process.wait(limit)
    except subprocess.TimeoutExpired:
        end(process.pid)
        process.wait()
        return 124 if not stops else 0


def table(rows: list[str]) -> str:
    return "\n".join(["| where | command | exit code | s | told apart |", "|---|---|---|---|---|", *rows]) + "\n"


def end(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass


def shown(command: Command) -> str:
    return command.text.splitlines()[0].replace("|", "\\|")


def finished(file: Path, listed: list[Command]) -> dict[str, list[str]]:
    """Rows of the documents that are in a table as a whole, with nothing that failed, and still have these commands."""
    if not file.exists():
        return {}
    rows: dict[str, list[str]] = {}
    for row in file.read_text().splitlines()[2:]:
        rows.setdefault(row[2:].split(":")[0], []).append(row)
    went_well = {d: all(re.search(r"` \| (0|not run|\d+ \(meant\)) \| \d+ \| [^|]*\|$", r) for r in found) for d, found in rows.items()}
    heads = {d: [f"| {d}:{c.line} | `{shown(c)}` |" for c in listed if c.document == d] for d in rows}
    return {d: found for d, found in rows.items()
            if went_well[d] and len(found) == len(heads[d]) and all(map(str.startswith, found, heads[d]))}


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--list", action="store_true")
    arguments.add_argument("--only", default="", metavar="TEXT")
    arguments.add_argument("--table", type=Path, metavar="FILE")
    arguments.add_argument("--resume", action="store_true")
    asked = arguments.parse_args()
    listed = commands()
    kept = finished(asked.table, listed) if asked.resume and asked.table else {}
    rows, failed, folder, groups, document = [], 0, Path(), [], ""
    for command in listed:
        rules = [r for r in RULES if command.document.startswith(r.where) and r.text in command.text]
        for rule in rules:
            rule.used = True
        if command.document != document:
            for group in groups:
                end(group)
            document, groups, folder = command.document, [], Path(tempfile.mkdtemp())
            rows += kept.get(document, [])
        if document in kept or asked.only not in f"{command.document} {command.text}":
            continue
        why = "; ".join(r.why for r in rules)
        code, took = "not run", 0.0
        if not asked.list and not any(r.skips for r in rules):
            print(f"\n== {command.document}:{command.line}: {command.text.splitlines()[0]}", flush=True)
            start = time.monotonic()
            status = run(command, rules, folder, groups)
            took = time.monotonic() - start
            meant = max((r.code for r in rules), default=0)
            code = f"{status} (meant)" if status == meant != 0 else str(status)
            failed += status != meant
            print(f"== exit code {code} after {took:.0f} s", flush=True)
        rows.append(f"| {command.document}:{command.line} | `{shown(command)}` | {code} | {took:.0f} | {why} |")
        if asked.table:
            # At once, since all of it takes hours.
            asked.table.write_text(table(rows))
    for group in groups:
        end(group)
    if not asked.table:
        print(table(rows))
    unused = [f"{r.where} {r.text}" for r in RULES if not r.used]
    if unused:
        print("Rules that fit no command:", *unused, sep="\n  ", file=sys.stderr)
    return 1 if failed or unused else 0


if __name__ == "__main__":
    sys.exit(main())
