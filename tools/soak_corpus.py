"""10,000 files, of which one in twenty is damaged; workers killed time and again, the driver once: what is lost?

    soak_corpus.py FOLDER [FILES] [SECONDS]

FOLDER holds .wav files (Debian: asterisk-core-sounds-*-wav), which are linked until there are FILES (10000). One run is
left alone. In another one a worker is killed every SECONDS (10), and the driver when half is done; the same command
again does the rest. Says how files ended, whether both runs' tables have the same bytes, and what memory driver and
workers had (RSS) on the way and at most."""
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DAMAGES = {
    "empty": lambda data: b"",
    "header only": lambda data: data[:44],
    "half": lambda data: data[: len(data) // 2],
    "noise": lambda data: random.Random(len(data)).randbytes(len(data)),
    "no header": lambda data: data[44:],
    "noise in the middle": lambda data: data[:2000] + random.Random(1).randbytes(1000) + data[3000:],
}


def make(folder, sources, files):
    """Links, and damaged copies."""
    damages = list(DAMAGES.values())
    for i in range(files):
        source, made = sources[i % len(sources)], folder / f"{i % 100:02}" / f"{i:06}.wav"
        made.parent.mkdir(exist_ok=True)
        if i % 20:
            made.symlink_to(source)
        else:
            made.write_bytes(damages[i // 20 % len(damages)](source.read_bytes()))


def memory(pid):
    """MB that a process has; 0 when it has gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def workers_of(driver):
    """Processes of workers below ``driver``."""
    try:
        children = Path(f"/proc/{driver}/task/{driver}/children").read_text().split()
    except OSError:
        return []
    return [int(c) for c in children if "corpus.worker" in _command(c)]


def _command(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def start(sounds, out):
    return subprocess.Popen([sys.executable, "-m", "gstrustaudio", "corpus", str(sounds), "--out", str(out)],
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def watch(run, seen):
    """Notes memory as the run goes on, in ``seen``, also while it writes its tables without workers; what it printed."""
    while run.poll() is None:
        time.sleep(0.2)
        seen.append((memory(run.pid), [memory(w) for w in workers_of(run.pid)]))
    return run.stdout.read().strip()


def disturb(run, seconds, until):
    """Kills a worker every ``seconds``, and the driver after ``until`` seconds; how many workers it were."""
    killed, started = 0, time.monotonic()
    while run.poll() is None and time.monotonic() < started + until:
        time.sleep(seconds)
        for worker in workers_of(run.pid)[:1]:
            os.kill(worker, signal.SIGKILL)
            killed += 1
    run.kill()
    run.wait()
    return killed


def main(folder, files="10000", seconds="10"):
    sources, total = sorted(Path(folder).rglob("*.wav")), int(files)
    with tempfile.TemporaryDirectory() as holder:
        sounds, alone, other = (Path(holder) / name for name in ("sounds", "alone", "other"))
        sounds.mkdir()
        make(sounds, [s.resolve() for s in sources], total)
        seen, began = [], time.monotonic()
        print("left alone:", watch(start(sounds, alone), seen))
        took = time.monotonic() - began
        print(f"in {took:.0f} s")
        worked = [s for s in seen if s[1]]
        for name, at in [("a quarter", len(worked) // 4), ("half", len(worked) // 2), ("three quarters", 3 * len(worked) // 4)]:
            driver, workers = worked[at]
            print(f"RSS at {name}: driver {driver:.1f} MB, workers {', '.join(f'{w:.1f}' for w in workers)} MB")
        print(f"RSS at most: driver {max(d for d, _ in seen):.1f} MB, a worker {max(w for _, ws in worked for w in ws):.1f} MB")
        killed = disturb(start(sounds, other), float(seconds), took / 2)
        again = start(sounds, other)
        while again.poll() is None:
            time.sleep(float(seconds))
            for worker in workers_of(again.pid)[:1]:
                os.kill(worker, signal.SIGKILL)
                killed += 1
        print(f"{killed} workers and the driver killed, then again:", again.stdout.read().strip())
        for name in ("files", "segments"):
            same = (alone / f"{name}.parquet").read_bytes() == (other / f"{name}.parquet").read_bytes()
            print(f"{name}.parquet:", "the same bytes" if same else "DIFFERS")


if __name__ == "__main__":
    main(*sys.argv[1:])
