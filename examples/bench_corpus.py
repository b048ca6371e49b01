"""A corpus beside what people write themselves: CPU seconds for an hour of audio, per peer.

    pip install onnxruntime webrtcvad-wheels soundfile soxr pyarrow 'numpy>=2' tqdm
    bench_corpus.py silero_vad_16k_op15.onnx FOLDER [PEERS_FILES]

FOLDER holds .wav files (Debian: asterisk-core-sounds-*-wav). gstrustaudio hears all of them, the peers every n-th, at
most PEERS_FILES (200). CPU time is that of the process and all of its children, start-up included. ffmpeg runs
once a file, as in the loops that people write.

Written against silero-vad's network by onnxruntime on one thread, its windows of 32 ms as they come, without torch."""
import resource
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path

import numpy as np
import onnxruntime
import soundfile
import soxr
import webrtcvad

RATE = 16_000


def cpu():
    """CPU seconds of this process and its children that have ended."""
    return sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))


def by_ffmpeg(path):
    """16 kHz mono, as float, by a process of its own."""
    raw = subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-i", path, "-ac", "1", "-ar", str(RATE), "-f", "s16le", "-"],
                         capture_output=True, check=True).stdout
    return np.frombuffer(raw, "<i2").astype("f4") / 32768


def by_soundfile(path):
    """16 kHz mono by soundfile and soxr."""
    audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return soxr.resample(audio.mean(1), rate, RATE)


def silero(model):
    """Segments by Silero's network: probabilities of windows, with threshold and minimum silence of its package."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    rate = np.array(RATE, "i8")

    def detect(x):
        state, context, values = np.zeros((2, 1, 128), "f4"), np.zeros(64, "f4"), []
        for n in range(0, len(x), 512):
            window = np.zeros(512, "f4")
            window[: len(x[n : n + 512])] = x[n : n + 512]
            value, state = session.run(None, {"input": np.concatenate([context, window])[None], "state": state, "sr": rate})
            context = window[-64:]
            values.append(value.item())
        return int(np.count_nonzero(np.diff(np.array([0, *values, 0]) > 0.5) == 1))

    return detect


def webrtc(x):
    """Segments by WebRTC's detector, mode 3, frames of 10 ms."""
    vad = webrtcvad.Vad(3)
    pcm = (np.clip(x, -1, 1) * 32767).astype("<i2").tobytes()
    return sum(vad.is_speech(pcm[i : i + 320], RATE) for i in range(0, len(pcm) - 319, 320))


def nothing(x):
    """Only read and resampled."""
    return len(x)


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


def main(model, folder, files="200"):
    paths = sorted(Path(folder).rglob("*.wav"))
    some = paths[:: max(1, len(paths) // int(files))]
    print("| what | hours of audio | wall s | CPU s an hour | times ours |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as out:
        corpus = [sys.executable, "-m", "gstrustaudio", "corpus", folder, "--quiet", "--out"]
        ours = measure("gstrustaudio corpus, Silero's detector", lambda: subprocess.run([*corpus, f"{out}/a"]), hours_of(paths))
        measure("the same, segments written as flac", lambda: subprocess.run(
            [*corpus, f"{out}/b", "--audio", "segments", "--audio-format", "flac"]), hours_of(paths), ours)
    hours, network = hours_of(some), silero(model)
    for name, read, detect in [
        ("ffmpeg, silero-vad's network in onnxruntime", by_ffmpeg, network),
        ("ffmpeg, webrtcvad", by_ffmpeg, webrtc),
        ("soundfile and soxr, silero-vad's network in onnxruntime", by_soundfile, network),
        ("soundfile and soxr, webrtcvad", by_soundfile, webrtc),
        ("soundfile and soxr, no detector", by_soundfile, nothing),
    ]:
        measure(name, lambda: [detect(read(str(p))) for p in some], hours, ours)


if __name__ == "__main__":
    main(*sys.argv[1:])
