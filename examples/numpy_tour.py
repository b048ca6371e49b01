"""A tour of the functions on arrays, in cells as notebooks have them; draws what docs/numpy.md shows.

    pip install "$(scripts/wheel.sh)" matplotlib av      # and the spoken clips of Debian's alsa-utils
    python examples/numpy_tour.py docs/img"""
# %% What it needs
import sys
import wave
from pathlib import Path

import av
import matplotlib
import matplotlib.pyplot as plt
import numpy as np

from gstrustaudio import SpeechDetector, convert, probabilities, resample, speech_timestamps
from gstrustaudio.pyav import process_frames, to_array, to_frame

matplotlib.use("svg")
# The same file from the same figures.
matplotlib.rcParams.update({"svg.hashsalt": "gstrustaudio", "svg.fonttype": "none", "font.size": 9, "axes.grid": True, "grid.alpha": 0.3})
folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
clips = Path("/usr/share/sounds/alsa")


def save(name):
    plt.tight_layout()
    plt.savefig(folder / name, metadata={"Date": None})
    plt.close()


def read(name):
    with wave.open(str(clips / name)) as f:
        return f.getframerate(), np.frombuffer(f.readframes(f.getnframes()), "<i2")


# %% Resample: what passes, and what does not come back as an alias
def through(hertz, quality):
    """dB of a tone of full scale after 48 to 16 kHz."""
    tone = np.sin(2 * np.pi * hertz / 48_000 * np.arange(24_000)).astype(np.float32)
    y = resample(tone, 48_000, 16_000, quality)[2000:-2000]
    return 10 * np.log10(2 * np.mean(y.astype(float) ** 2) + 1e-16)


tones = np.arange(6_020, 10_001, 40)
plt.figure(figsize=(7, 2.8))
for quality in ["QQ", "LQ", "HQ", "VHQ"]:
    plt.plot(tones, [through(hertz, quality) for hertz in tones], label=quality, lw=1.2)
plt.axvline(8_000, color="k", lw=0.6)
plt.ylim(-160, 5)
plt.xlabel("Hz at 48 kHz; what is above 8000 would fold back")
plt.ylabel("dB at 16 kHz")
plt.legend()
save("numpy-resample.svg")

# %% Convert: where the error of 16 bits goes
quiet = 10 ** (-90 / 20) * np.sin(2 * np.pi * 1000 / 48_000 * np.arange(48_000 * 8))
ways = {"rounded": ("none", "none"), "TPDF dither": ("tpdf", "none"), "and noise shaping": ("tpdf", "high")}
plt.figure(figsize=(7, 2.8))
for name, (dither, shaping) in ways.items():
    y = convert(quiet, np.int16, dither=dither, noise_shaping=shaping) / 32768
    parts = y[: len(y) // 2048 * 2048].reshape(-1, 2048) * np.hanning(2048)
    power = (np.abs(np.fft.rfft(parts)) ** 2).mean(0) / (np.hanning(2048).sum() / 2) ** 2
    at = np.unique(np.geomspace(2, 1024, 300).astype(int))
    plt.semilogx(at * 48_000 / 2048, 10 * np.log10(power[at] + 1e-20), label=name, lw=1.2)
plt.ylim(-170, -80)
plt.xlabel("Hz; a tone of 1 kHz at -90 dBFS")
plt.ylabel("dBFS")
plt.legend()
save("numpy-dither.svg")

# %% Speech: a recording, what is heard in each 10 ms, and where somebody speaks
rate, first = read("Front_Center.wav")
pause = np.zeros(rate // 2, np.int16)
x = np.concatenate([pause, first, pause, read("Rear_Left.wav")[1], pause])
p = probabilities(x, rate)
segments = speech_timestamps(x, rate, return_seconds=True, time_resolution=2)
figure, (above, below) = plt.subplots(2, 1, figsize=(7, 3), sharex=True)
# One bar per 10 ms.
peaks = np.abs(x[: len(x) // 480 * 480].reshape(-1, 480).astype(float)).max(1) / 32768
above.fill_between(np.arange(len(peaks)) / 100, -peaks, peaks, lw=0)
below.plot(np.arange(len(p)) / 100, p, lw=1.2)
for segment in segments:
    above.axvspan(segment["start"], segment["end"], color="tab:green", alpha=0.2)
below.set_ylabel("speech")
below.set_xlabel("s")
save("numpy-speech.svg")
print(segments)

# %% The same as a stream, in chunks as a microphone gives them
detector = SpeechDetector(rate)
for n in range(0, len(x), 1024):
    for edge in detector.push(x[n : n + 1024]).edges:
        print("speech" if edge.speech else "silence", f"from {edge.time:.2f} s on")

# %% Files: decode, mix, resample, and encode by PyAV
source = [to_frame(x[n : n + 1024, None], "s16", "mono", rate, n) for n in range(0, len(x), 1024)]
with av.open(str(folder / "numpy-tour.flac"), "w") as sink:
    track = sink.add_stream("flac", rate=16_000, layout="mono")
    for frame in process_frames(source, format="s16", rate=16_000, function=lambda a: a // 2):
        sink.mux(track.encode(frame))
    sink.mux(track.encode(None))
with av.open(str(folder / "numpy-tour.flac")) as file:
    samples = sum(to_array(frame).shape[-1] for frame in process_frames(file.decode(audio=0), format="s16p"))
print(f"{samples / 16_000:.2f} s of {len(x) / rate:.2f} in the file")
(folder / "numpy-tour.flac").unlink()
