"""Speech detection in Python: gstrustaudio beside silero-vad's network in onnxruntime, webrtcvad, ten-vad
and earshot.

    pip install gstrustaudio onnxruntime==1.32.0 webrtcvad-wheels==2.0.14.post1 ten-vad==1.0.6.9 earshot==1.2.2
    vad_peers.py CLIPS silero_vad/data/silero_vad_16k_op15.onnx [MINUTES]

CLIPS holds recordings at 16 kHz, mono, 16 bits, as NAME.wav, with labels in NAME.scv: name, then start, end
and 0 or 1 of each stretch, separated by commas (the TEN VAD test set's form). Each detector hears all of
them for AUC over 10 ms frames, cold at the start of each, and then MINUTES (60) of them in a row for the
time: seconds of CPU, all threads. Probabilities of the peers are moved back by what suits them best, up to
100 ms, since they come late; webrtcvad says yes or no, so its AUC is that of the four modes' votes."""
import sys
import time
import wave
from pathlib import Path

import earshot
import numpy as np
import onnxruntime
import ten_vad
import webrtcvad

import gstrustaudio

HOP = 160
SHIFTS = range(11)


def read(path):
    with wave.open(str(path)) as f:
        if (f.getframerate(), f.getnchannels(), f.getsampwidth()) != (16_000, 1, 2):
            raise SystemExit(f"{path}: expected 16 kHz, mono, 16 bits")
        return np.frombuffer(f.readframes(f.getnframes()), "<i2")


def labels(path, frames):
    fields = path.read_text().strip().split(",")[1:]
    middle, marks = (np.arange(frames) + 0.5) * 0.01, np.full(frames, -1)
    for start, end, speech in zip(fields[::3], fields[1::3], fields[2::3]):
        marks[(middle >= float(start)) & (middle < float(end))] = int(speech)
    return marks


def auc(speech, probability):
    """Area under the curve of recall over false alarms; ties count half."""
    order = np.argsort(probability, kind="stable")
    _, first, count = np.unique(probability[order], return_index=True, return_counts=True)
    ranks = np.empty(len(order))
    ranks[order] = np.repeat(first + (count + 1) / 2, count)
    yes = speech == 1
    n = int(yes.sum())
    return (ranks[yes].sum() - n * (n + 1) / 2) / (n * (len(speech) - n))


def spread(values, window, frames):
    """A value per window of samples as one per 10 ms."""
    at = (np.arange(frames) * HOP + HOP // 2) // window
    return np.asarray(values, "f4")[np.minimum(at, len(values) - 1)]


def silero(model):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    rate = np.array(16_000, "i8")

    def run(x):
        state, context, values = np.zeros((2, 1, 128), "f4"), np.zeros(64, "f4"), []
        for n in range(0, len(x), 512):
            window = np.zeros(512, "f4")
            part = x[n:n + 512]
            window[:len(part)] = part / 32768
            feed = {"input": np.concatenate([context, window])[None], "state": state, "sr": rate}
            value, state = session.run(None, feed)
            context = window[-64:]
            values.append(value.item())
        return spread(values, 512, len(x) // HOP)

    return run


def webrtc(x):
    vads = [webrtcvad.Vad(mode) for mode in range(4)]
    frames = [x[n:n + HOP].tobytes() for n in range(0, len(x) - HOP + 1, HOP)]
    return np.array([sum(vad.is_speech(frame, 16_000) for vad in vads) for frame in frames], "f4")


def webrtc_alone(x):
    vad = webrtcvad.Vad(3)
    return [vad.is_speech(x[n:n + HOP].tobytes(), 16_000) for n in range(0, len(x) - HOP + 1, HOP)]


def ten(x):
    vad = ten_vad.TenVad(HOP)
    values = [vad.process(x[n:n + HOP])[0] for n in range(0, len(x) - HOP + 1, HOP)]
    return np.array(values, "f4")


def earshot_vad(x):
    detector = earshot.Detector()
    values = [detector.predict_i16(x[n:n + 256]) for n in range(0, len(x) - 255, 256)]
    return spread(values, 256, len(x) // HOP)


def ours(name, ahead):
    return lambda x: gstrustaudio.probabilities(x, 16_000, detector=name, look_ahead_ms=ahead)


def score(run, clips, shifts):
    heard = [(run(x), y) for x, y in clips]

    def at(shift):
        moved = [(np.r_[p[shift:], np.full(shift, p[-1])] if shift else p)[:len(y)] for p, y in heard]
        known = [(p[y[:len(p)] >= 0], y[:len(p)][y[:len(p)] >= 0]) for p, (_, y) in zip(moved, heard)]
        return auc(np.concatenate([y for _, y in known]), np.concatenate([p for p, _ in known]))

    return max((at(shift), shift) for shift in shifts)


def overhead():
    """us of a push of 10 ms to the detector that does least, and of a function that does nothing."""
    chunk = np.zeros(HOP, "f4")
    detector = gstrustaudio.SpeechDetector(16_000, detector="energy")

    def nothing(x):
        return x

    def best(call):
        passes = []
        for _ in range(20):
            start = time.perf_counter()
            for _ in range(5000):
                call(chunk)
            passes.append((time.perf_counter() - start) / 5000)
        return min(passes) * 1e6

    return best(detector.push), best(detector._native.push), best(nothing)


def main(folder, model, minutes=60):
    paths = sorted(Path(folder).glob("*.wav"))
    clips = [(x, labels(p.with_suffix(".scv"), len(x) // HOP)) for p in paths for x in [read(p)]]
    everything = np.concatenate([x for x, _ in clips])
    long = np.resize(everything, int(float(minutes) * 60 * 16_000))
    rows = [(f"gstrustaudio {name}, {ahead} ms", ours(name, ahead), None, [0])
            for name, ahead in [("silero", 100), ("silero", 30), ("neural", 100), ("neural", 30),
                                ("spectral", 100), ("spectral", 30), ("energy", 0)]]
    rows += [
        (f"silero-vad's network, onnxruntime {onnxruntime.__version__}", silero(model), None, SHIFTS),
        ("ten-vad", ten, None, SHIFTS),
        ("earshot", earshot_vad, None, SHIFTS),
        ("webrtcvad (area: votes of its four modes; time: mode 3)", webrtc, webrtc_alone, SHIFTS),
    ]
    print(f"{len(clips)} recordings; {float(minutes):g} minutes for the time")
    print("| detector | AUC | moved back | CPU seconds |\n|---|---|---|---|")
    for name, run, timed, shifts in rows:
        area, shift = score(run, clips, shifts)
        start = time.process_time()
        (timed or run)(long)
        print(f"| {name} | {area:.3f} | {shift * 10} ms | {time.process_time() - start:.2f} |", flush=True)
    push, native, nothing = overhead()
    print(f"push of 10 ms, energy: {push:.2f} us; compiled part: {native:.2f} us; a function of Python: {nothing:.2f} us")


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    main(*sys.argv[1:])
