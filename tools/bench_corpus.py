"""A corpus beside what people write themselves: CPU seconds for an hour of audio.

    pip install onnxruntime webrtcvad-wheels soundfile soxr librosa ray pyarrow 'numpy>=2' tqdm
    pip install --no-deps silero-vad
    bench_corpus.py all FOLDER
    bench_corpus.py peers FOLDER [PEERS_FILES]
    bench_corpus.py formats FILE
    bench_corpus.py ray FOLDER

FOLDER holds .wav files (Debian: asterisk-core-sounds-*-wav).

peers: gstrustaudio hears all of them, the peers every n-th, at most PEERS_FILES (200) where each has a process of ffmpeg,
ten times as many elsewhere. CPU time is that of the process and all of its children, start-up included. ffmpeg
runs once a file, as in the loops that people write. Silero's network runs in onnxruntime on one thread, without torch:
window by window, as its package does by default and must where audio streams, and in blocks of 512 windows, which is
what its package has for long recordings (its sequence model).

formats: FILE, a .wav file, is written in other formats by ffmpeg; what each costs without start-up, and what of it
reading and decoding alone do.

ray: a pool of two workers beside a cluster of two nodes with a core each, for one file and for all, and once more with a
node taken away in mid-run. CPU time is that of the whole machine, which should have nothing else to do.

all: peers of the files as they are, then of the same joined to three files of an hour, of which peers hear one; formats
of their first ten minutes; ray."""
import os
import resource
import subprocess
import sys
import tempfile
import time
import wave
from importlib.util import find_spec
from pathlib import Path

RATE = 16_000
#: Encodings and what they are called.
FORMATS = {
    "wav, 16 kHz": ["-ar", "16000", "a.wav"], "wav, 48 kHz stereo": ["-ar", "48000", "-ac", "2", "b.wav"],
    "flac, 48 kHz stereo": ["-ar", "48000", "-ac", "2", "c.flac"],
    "mp3, 44.1 kHz stereo, 128 kbit/s": ["-ar", "44100", "-ac", "2", "-b:a", "128k", "d.mp3"],
    "m4a (AAC), 44.1 kHz stereo, 96 kbit/s": ["-ar", "44100", "-ac", "2", "-b:a", "96k", "e.m4a"],
    "opus, 48 kHz stereo, 64 kbit/s": ["-ar", "48000", "-ac", "2", "-b:a", "64k", "f.opus"],
}


def cpu():
    """CPU seconds of this process and its children that have ended."""
    return sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))


def by_ffmpeg(path):
    """16 kHz mono, as float, by a process of its own."""
    import numpy as np

    raw = subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-i", path, "-ac", "1", "-ar", str(RATE), "-f", "s16le", "-"],
                         capture_output=True, check=True).stdout
    return np.frombuffer(raw, "<i2").astype("f4") / 32768


def by_soundfile(path):
    """16 kHz mono by soundfile and soxr."""
    import soundfile
    import soxr

    audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return soxr.resample(audio.mean(1), rate, RATE)


def by_librosa(path):
    """16 kHz mono by librosa."""
    import librosa

    return librosa.load(path, sr=RATE, mono=True)[0]


def model(name):
    """A session of one of the models of silero-vad's package, which is not imported."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    path = Path(find_spec("silero_vad").submodule_search_locations[0]) / "data" / name
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def segments(values):
    """How often probabilities rise above a half."""
    import numpy as np

    return int(np.count_nonzero(np.diff(np.concatenate([[0], values, [0]]) > 0.5) == 1))


def windows():
    """Silero's network, window by window."""
    import numpy as np

    session, rate = model("silero_vad_16k_op15.onnx"), np.array(RATE, "i8")

    def detect(x):
        state, context, values = np.zeros((2, 1, 128), "f4"), np.zeros(64, "f4"), []
        for n in range(0, len(x), 512):
            window = np.zeros(512, "f4")
            window[: len(x[n : n + 512])] = x[n : n + 512]
            value, state = session.run(None, {"input": np.concatenate([context, window])[None], "state": state, "sr": rate})
            context = window[-64:]
            values.append(value.item())
        return segments(values)

    return detect


def blocks():
    """Silero's network in blocks of 512 windows."""
    import numpy as np

    session = model("silero_vad_16k_sequence.onnx")

    def detect(x):
        h, c = np.zeros((1, 1, 128), "f4"), np.zeros((1, 1, 128), "f4")
        frames = np.zeros((-(-len(x) // 512), 512), "f4")
        frames.reshape(-1)[: len(x)] = x
        before = np.concatenate([np.zeros((1, 64), "f4"), frames[:-1, -64:]])
        values = [np.zeros(0, "f4")]
        for n in range(0, len(frames), 512):
            block = np.concatenate([before[n : n + 512], frames[n : n + 512]], 1)
            value, h, c = session.run(["speech_probs", "hn", "cn"], {"input": block, "h": h, "c": c})
            values.append(value.reshape(-1))
        return segments(np.concatenate(values))

    return detect


def webrtc():
    """WebRTC's detector, mode 3, frames of 10 ms."""
    import numpy as np
    import webrtcvad

    def detect(x):
        vad = webrtcvad.Vad(3)
        pcm = (np.clip(x, -1, 1) * 32767).astype("<i2").tobytes()
        return sum(vad.is_speech(pcm[i : i + 320], RATE) for i in range(0, len(pcm) - 319, 320))

    return detect


def nothing():
    """Only read and resampled."""
    return len


def measure(name, work, hours, base=None):
    """One row; CPU seconds an hour."""
    before, started = cpu(), time.perf_counter()
    work()
    each = (cpu() - before) / hours
    times = "" if base is None else f"{each / base:.1f}"
    print(f"| {name} | {hours:.2f} | {time.perf_counter() - started:.1f} | {each:.2f} | {times} |", flush=True)
    return each


def hours_of(paths):
    total = 0.0
    for path in paths:
        with wave.open(str(path)) as f:
            total += f.getnframes() / f.getframerate()
    return total / 3600


def loop(read, make, paths):
    """What a process of its own does, which is what is measured."""
    detect = make()
    for path in paths:
        detect(read(path))


def every(paths, files):
    """At most so many of them, from all over."""
    return paths[:: -(-len(paths) // files)]


def peers(folder, files="200", more="2000"):
    """The table of peers; ``more``: how many of the files those hear that need no process for each."""
    import multiprocessing

    paths = sorted(Path(folder).rglob("*.wav"))
    some, more = (every(paths, int(n)) for n in (files, more))
    print("| what | hours of audio | wall s | CPU s an hour | times ours |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as out:
        corpus = [sys.executable, "-m", "gstrustaudio", "corpus", folder, "--quiet", "--detector", "silero", "--out"]
        ours = measure("gstrustaudio corpus, Silero's detector", lambda: subprocess.run([*corpus, f"{out}/a"]), hours_of(paths))
        measure("the same, segments written as flac", lambda: subprocess.run(
            [*corpus, f"{out}/b", "--audio", "segments", "--audio-format", "flac"]), hours_of(paths), ours)
    for name, read, detect in [
        ("ffmpeg, silero-vad's network in onnxruntime, window by window", by_ffmpeg, windows),
        ("ffmpeg, the same in blocks", by_ffmpeg, blocks),
        ("ffmpeg, webrtcvad", by_ffmpeg, webrtc),
        ("librosa, silero-vad's network in blocks", by_librosa, blocks),
        ("librosa, no detector", by_librosa, nothing),
        ("soundfile and soxr, silero-vad's network in blocks", by_soundfile, blocks),
        ("soundfile and soxr, webrtcvad", by_soundfile, webrtc),
        ("soundfile and soxr, no detector", by_soundfile, nothing),
    ]:
        heard = some if read is by_ffmpeg else more
        process = multiprocessing.get_context("spawn").Process(target=loop, args=(read, detect, [str(p) for p in heard]))
        measure(name, lambda p=process: (p.start(), p.join()), hours_of(heard), ours)
        if process.exitcode:
            sys.exit(f"{name}: it failed, so its row says nothing")


def decoding(path):
    """CPU seconds to read and decode ``path``, and no more, the way that a corpus run does it."""
    from gi.repository import Gst

    from gstrustaudio.corpus.source import Source, demuxer_of

    pipeline = Gst.Pipeline.new(None)
    sink = Gst.ElementFactory.make("fakesink")
    sink.set_property("sync", False)
    pipeline.add(sink)
    source = Source(pipeline, sink.get_static_pad("sink"), path, demuxer_of(path))
    before = time.process_time()
    pipeline.set_state(Gst.State.PLAYING)
    pipeline.get_bus().timed_pop_filtered(Gst.CLOCK_TIME_NONE, Gst.MessageType.EOS | Gst.MessageType.ERROR)
    used = time.process_time() - before
    pipeline.set_state(Gst.State.NULL)
    source.remove()
    return used


def formats(path):
    """The table of formats."""
    from gstrustaudio.corpus.options import Options
    from gstrustaudio.corpus.pipeline import FilePipeline

    print("| format | CPU s an hour | decoding | share |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        pipeline = FilePipeline(Options(), folder, f"{folder}/scratch")
        for name, words in FORMATS.items():
            made = f"{folder}/{words[-1]}"
            subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-i", path, *words[:-1], made], check=True)
            runs = [pipeline.run(made, made) for _ in range(3)]
            hours = runs[0].duration / 3.6e12
            whole, alone = min(r.run["cpu"] for r in runs) / hours, min(decoding(made) for _ in range(3)) / hours
            print(f"| {name} | {whole:.2f} | {alone:.2f} | {100 * alone / whole:.0f} % |", flush=True)
            Path(made).unlink()
        pipeline.close()


def join(folder, path, seconds):
    """Writes the sounds of ``folder`` that are as the first one is, one after the other and again, as one file."""
    paths = sorted(Path(folder).rglob("*.wav"))
    with wave.open(str(paths[0])) as first:
        kind = first.getparams()[:3]
    left = seconds * kind[2]
    with wave.open(str(path), "wb") as out:
        out.setparams((*kind, 0, "NONE", ""))
        while left > 0:
            for one in paths:
                with wave.open(str(one)) as f:
                    if f.getparams()[:3] == kind and left > 0:
                        out.writeframes(f.readframes(min(left, f.getnframes())))
                        left -= f.getnframes()


def machine_cpu():
    """CPU seconds of all processes since the machine started."""
    user, nice, system = map(int, Path("/proc/stat").read_text().split()[1:4])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


def run_corpus(inputs, out, *words, disturb=lambda: None):
    """Wall and CPU seconds of a run; ``disturb`` is called when it has begun."""
    before, started = machine_cpu(), time.perf_counter()
    run = subprocess.Popen([sys.executable, "-m", "gstrustaudio", "corpus", *map(str, inputs), "--out", str(out), "--quiet",
                            *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    disturb()
    run.wait()
    return time.perf_counter() - started, machine_cpu() - before


def ray(folder):
    """The table of engines."""
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    from ray.cluster_utils import Cluster

    paths = sorted(Path(folder).rglob("*.wav"))
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    with tempfile.TemporaryDirectory() as holder:
        local, first = ["--workers", "2"], {}

        def row(name, words, disturb=lambda: None):
            one, all_of_them = Path(holder) / f"{name} one", Path(holder) / name
            single = run_corpus(paths[:1], one, *words)
            whole = run_corpus([folder], all_of_them, *words, disturb=disturb)
            each = [1e3 * (w - s) / (len(paths) - 1) for s, w in zip(single, whole)]
            tables = [(all_of_them / f"{n}.parquet").read_bytes() for n in ("files", "segments")]
            same = "the same bytes" if first.setdefault("tables", tables) == tables else "OTHERS"
            print(f"| {name} | {single[0]:.1f} | {single[1]:.1f} | {whole[0]:.1f} | {whole[1]:.1f} | {each[0]:.2f} | {each[1]:.2f} "
                  f"| {same} |", flush=True)
            return whole[0]

        print(f"| engine | one file: wall s | CPU s | {len(paths)} files: wall s | CPU s | each more: wall ms | CPU ms | tables |\n"
              "|---|---|---|---|---|---|---|---|")
        row("a pool of two workers", local)
        # Once before, so that Ray's own processes are there.
        run_corpus(paths[:1], Path(holder) / "warm", "--ray", cluster.address)
        took = row("two nodes of Ray", ["--ray", cluster.address])

        def lose():
            time.sleep(took / 2)
            cluster.remove_node(nodes[1], allow_graceful=False)

        row("the same, one taken away in mid-run", ["--ray", cluster.address], lose)
    cluster.shutdown()


def everything(folder):
    """All tables, one after the other."""
    print("Files as they are:")
    peers(folder)
    with tempfile.TemporaryDirectory() as holder:
        hours = Path(holder) / "hours"
        hours.mkdir()
        for i in range(3):
            join(folder, hours / f"{i}.wav", 3600)
        print("\nThree files of an hour:")
        peers(hours, "1", "1")
        join(folder, Path(holder) / "ten.wav", 600)
        print("\nFormats:")
        formats(str(Path(holder) / "ten.wav"))
    print("\nRay:")
    ray(folder)


if __name__ == "__main__":
    {"all": everything, "peers": peers, "formats": formats, "ray": ray}[sys.argv[1]](*sys.argv[2:])
