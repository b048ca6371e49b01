"""Makes training streams of 12 s: clean speech, and what microphones, rooms, noises and codecs do to it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.signal import butter, fftconvolve, lfilter, resample_poly

from collect import read_sources

RATE = 16_000
SECONDS = 12
SAMPLES = RATE * SECONDS

Array = np.ndarray
#: Share of the streams with speech in which it falls by some dB after a while.
FALLING = 0.12
#: A first utterance that comes so late, in samples, is mostly that of a faint talker in a quiet room.
LATE = 2 * RATE
#: How much more often than the root of its length a pool is drawn.
WEIGHTS = {"commands_clean": 2.0, "wake_words": 1.5, "telephone_calls": 2.0, "watson": 2.0,
           "vctk": 2.0, "azure": 1.5, "thorsten_emotional": 2.0, "berklee": 0.7, "loops": 0.5}
#: Pools of noise that hold what is heard outdoors, as a bed for `outdoors`, and of single sounds upon it.
OUTDOORS = ("weather", "rooms_and_streets", "soundscapes", "far_city", "household_and_street")
SINGLE = ("berklee", "animals", "dogs", "machines", "frogs_and_birds", "game_effects")
#: Encoder and container of ffmpeg by codec, and the rate that it works at.
CODECS = {"opus": (["-c:a", "libopus", "-b:a", "6k", "-f", "ogg"], 16_000),
          "opus12": (["-c:a", "libopus", "-b:a", "12k", "-f", "ogg"], 16_000),
          "gsm": (["-c:a", "libgsm", "-f", "gsm"], 8_000),
          "alaw": (["-c:a", "pcm_alaw", "-f", "wav"], 8_000),
          "mp3": (["-c:a", "libmp3lame", "-b:a", "16k", "-f", "mp3"], 16_000)}


def rms(x: Array) -> float:
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64)) + 1e-12))


def active_level(x: Array) -> float:
    """Root mean square over the 10 ms frames within 20 dB of the loud ones."""
    frames = len(x) // 160
    if frames < 2:
        return rms(x)
    energy = np.mean(x[: frames * 160].reshape(frames, 160) ** 2, 1)
    loud = energy > 0.01 * np.sort(energy)[int(0.95 * (frames - 1))]
    return float(np.sqrt(energy[loud].mean() + 1e-12))


def gain(db: float) -> float:
    return float(10 ** (db / 20))


def faded(x: Array, samples: int = 80) -> Array:
    n = min(samples, len(x) // 4)
    if n < 2:
        return x
    x, slope = x.copy(), np.linspace(0, 1, n, dtype=x.dtype)
    x[:n] *= slope
    x[-n:] *= slope[::-1]
    return x


def through_codec(x: Array, codec: str) -> Array:
    """x coded and decoded by ffmpeg, at the same length."""
    encoder, rate = CODECS[codec]
    pcm = ["-f", "s16le", "-ac", "1"]
    ffmpeg = ["ffmpeg", "-v", "error", "-threads", "1"]
    data = np.clip(np.round(x * 32767), -32768, 32767).astype("<i2").tobytes()
    coded = subprocess.run([*ffmpeg, *pcm, "-ar", str(RATE), "-i", "-", "-ar", str(rate), *encoder, "-"],
                           input=data, capture_output=True, check=True).stdout
    container = ["-f", encoder[-1]]
    back = subprocess.run([*ffmpeg, *container, "-i", "-", "-ar", str(RATE), *pcm, "-"],
                          input=coded, capture_output=True, check=True).stdout
    y = np.frombuffer(back, "<i2").astype(np.float64) / 32767
    return np.pad(y, (0, max(0, len(x) - len(y))))[: len(x)]


@dataclass
class Pool:
    samples: Array
    offsets: Array

    def draw(self, rng: np.random.Generator) -> Array:
        i = rng.integers(len(self.offsets) - 1)
        return self.samples[self.offsets[i] : self.offsets[i + 1]].astype(np.float32) / 32768


class Pools:
    """All pools of a data directory by kind, those held out left out."""

    def __init__(self, data_dir: Path, held_out: bool = False) -> None:
        self.by_kind: dict[str, dict[str, Pool]] = {}
        for name, source in read_sources().items():
            path = data_dir / "pool" / f"{name}.npz"
            if path.exists() and source.get("held_out", False) == held_out:
                data = np.load(path)
                pool = Pool(data["samples"], data["offsets"])
                self.by_kind.setdefault(source["kind"], {})[name] = pool

    def choose(self, kind: str, rng: np.random.Generator) -> str:
        pools = self.by_kind[kind]
        weight = np.array([WEIGHTS.get(n, 1.0) * np.sqrt(len(p.samples)) for n, p in pools.items()])
        return list(pools)[rng.choice(len(pools), p=weight / weight.sum())]


class Mixer:
    """Draws streams from pools by one random generator."""

    def __init__(self, pools: Pools, seed: int) -> None:
        self.pools = pools
        self.rng = np.random.default_rng(seed)
        self.noises: dict[str, tuple[float, Callable[[int], Array]]] = {
            "coloured": (2, self.coloured),
            "tone_of_room": (2, self.tone_of_room),
            "hum": (1, self.hum),
            "events": (1.5, self.events),
            "recorded": (4, lambda n: self.filled("noise", n)),
            "keys": (1, self.typing),
            "babble": (1, self.babble),
            "music": (2.5, self.music),
            "outdoors": (1.5, self.outdoors),
        }

    # Speech

    def utterance(self, name: str, longest_s: float = 9.0) -> Array:
        """Part of a recording at an active level of 1, its speed changed a little."""
        rng = self.rng
        x = self.pools.by_kind["speech"][name].draw(rng)
        length = int(rng.uniform(2, longest_s) * RATE)
        if len(x) > length:
            start = rng.integers(len(x) - length)
            x = x[start : start + length]
        x = self.speed(x)
        return faded(x) / max(active_level(x), 1e-4)

    def speed(self, x: Array) -> Array:
        if self.rng.random() < 0.7:
            return x
        factor = self.rng.uniform(0.9, 1.12)
        at = np.arange(int(len(x) / factor)) * factor
        return np.interp(at, np.arange(len(x)), x).astype(np.float32)

    def speech(self) -> tuple[Array, list[tuple[int, int]]]:
        """A stream of utterances of one or several talkers and the samples that each covers."""
        rng, y, regions = self.rng, np.zeros(SAMPLES, np.float32), []
        several = rng.random() < 0.4
        faint_from = rng.uniform(2, 6) * RATE if rng.random() < FALLING else None
        faint = rng.uniform(8, 22)
        name = self.pools.choose("speech", rng)
        level = 0.0
        at = int(RATE * rng.choice([0.0, rng.exponential(0.4), rng.uniform(0.5, 2.5), rng.uniform(2.5, 7)],
                                   p=[0.35, 0.35, 0.18, 0.12]))
        while at < SAMPLES - RATE // 10:
            if several:
                name = self.pools.choose("speech", rng)
                level = rng.normal(0, 7) if rng.random() < 0.6 else level
            else:
                level = rng.normal(0, 1.5)
            x = self.utterance(name)[: SAMPLES - at] * np.float32(gain(level))
            y[at : at + len(x)] += x
            regions.append((at, at + len(x)))
            if faint_from is not None and at >= faint_from:
                # Who was heard loud until now is heard faint.
                y[at : at + len(x)] *= np.float32(gain(-faint))
            pause = rng.choice([rng.exponential(0.15), rng.exponential(0.5), rng.uniform(0.8, 3)],
                               p=[0.4, 0.4, 0.2])
            at += len(x) + int(RATE * pause)
        return y, regions

    # Noise, each of root mean square 1

    def coloured(self, n: int) -> Array:
        """Noise of random tilt and resonances, its level wandering."""
        rng = self.rng
        size = 1 << (n - 1).bit_length()
        hz = np.maximum(np.arange(size // 2 + 1) / size * RATE, 20)
        shape = (hz / 1000) ** -rng.choice([0, 0.5, 1, 1.5, rng.uniform(-0.3, 1.5)])
        for _ in range(rng.integers(0, 5)):
            centre, width = np.exp(rng.uniform(np.log(60), np.log(7000))), rng.uniform(0.05, 0.6)
            shape *= 1 + rng.uniform(0, 6) * np.exp(-0.5 * (np.log(hz / centre) / width) ** 2)
        if rng.random() < 0.3:
            shape /= 1 + (hz / np.exp(rng.uniform(np.log(300), np.log(6000)))) ** 4
        spectrum = (rng.standard_normal(len(hz)) + 1j * rng.standard_normal(len(hz))) * shape
        y = np.fft.irfft(spectrum)[:n]
        if rng.random() < 0.5:
            knots = rng.integers(5, 42)
            wander = rng.normal(0, rng.uniform(1, 7), knots)
            y *= 10 ** (np.interp(np.arange(n), np.linspace(0, n, knots), wander) / 20)
        if rng.random() < 0.2:
            t = np.arange(n) / RATE
            y *= 1 + rng.uniform(0.1, 0.8) * np.sin(2 * np.pi * rng.uniform(0.5, 14) * t)
        return y / rms(y)

    def hum(self, n: int) -> Array:
        """Harmonics of mains or of a motor."""
        rng, t = self.rng, np.arange(n) / RATE
        base = rng.choice([50, 60, 100, 120, rng.uniform(30, 400)]) + rng.uniform(-0.3, 0.3)
        vibrato = rng.choice([0, rng.uniform(0, 0.02)])
        wave = 1 + vibrato * np.sin(2 * np.pi * rng.uniform(0.1, 6) * t)
        phase, slope, y = 2 * np.pi * np.cumsum(base * wave) / RATE, rng.uniform(0.4, 1.6), np.zeros(n)
        for h in range(1, min(int(rng.integers(2, 24)), int(7600 / base) + 1)):
            y += h**-slope * rng.uniform(0.2, 1) * np.sin(h * phase + rng.uniform(0, 6.28))
        y /= rms(y)
        return y + 0.05 * rng.uniform(0, 3) * self.coloured(n)

    def event(self, kind: str) -> Array:
        """One click, knock, beep, pair of DTMF tones, sweep or turn of a siren."""
        rng = self.rng
        if kind in ("click", "knock"):
            n = int(rng.uniform(0.002, 0.08) * RATE)
            x = rng.standard_normal(n) * np.exp(-np.arange(n) / (n / 5))
            if kind == "knock":
                band = [rng.uniform(60, 300) / 8000, rng.uniform(500, 3000) / 8000]
                x = lfilter(*butter(2, band, "band"), x)
            return x
        n = int(rng.uniform(0.04, 0.9) * RATE)
        t = np.arange(n) / RATE
        if kind == "beep":
            hz = np.exp(rng.uniform(np.log(200), np.log(4000)))
            harmonics = range(1, int(rng.integers(2, 5)))
            return np.sum([rng.uniform(0, 1) * np.sin(2 * np.pi * hz * h * t) for h in harmonics], 0)
        if kind == "dtmf":
            pair = rng.choice([697, 770, 852, 941]), rng.choice([1209, 1336, 1477, 1633])
            return np.sin(2 * np.pi * pair[0] * t) + np.sin(2 * np.pi * pair[1] * t)
        if kind == "sweep":
            hz = np.linspace(*rng.uniform(200, 3000, 2), n)
        else:
            t = np.arange(int(rng.uniform(1, 6) * RATE)) / RATE
            low, high, speed = rng.uniform(300, 800), rng.uniform(900, 1900), rng.uniform(0.2, 6)
            swing = np.sin(2 * np.pi * speed * t)
            swing = np.sign(swing) if rng.random() < 0.4 else swing
            hz = (low + high) / 2 + (high - low) / 2 * swing
        phase, slope = 2 * np.pi * np.cumsum(hz) / RATE, rng.uniform(0.5, 2)
        return np.sum([h**-slope * np.sin(h * phase) for h in range(1, int(rng.integers(2, 6)))], 0)

    def events(self, n: int) -> Array:
        """Clicks, tones, DTMF, sweeps and sirens with pauses between them."""
        rng, y, at = self.rng, np.zeros(n), 0
        kinds = ["click", "knock", "beep", "dtmf", "sweep", "siren"]
        one = rng.choice([*kinds, "mixed"])
        pause = rng.choice([0.08, 0.3, 1.0])
        while at < n - 200:
            x = faded(self.event(rng.choice(kinds) if one == "mixed" else one), 60)
            x = x[: n - at] * rng.uniform(0.3, 1) / (np.abs(x).max() + 1e-9)
            y[at : at + len(x)] += x
            at += len(x) + int(RATE * rng.exponential(pause))
        return y / rms(y)

    def filled(self, kind: str, n: int, name: str | None = None) -> Array:
        """Recordings of one pool one after the other."""
        rng, y, at = self.rng, np.zeros(n), 0
        name = name or self.pools.choose(kind, rng)
        pool, x = self.pools.by_kind[kind][name], None
        pause = rng.choice([0, 0, rng.exponential(0.5)])
        while at < n:
            if x is None or kind == "music" or rng.random() < 0.5:
                x = pool.draw(rng)
                if len(x) > n:
                    start = rng.integers(len(x) - n)
                    x = x[start : start + n]
                x = self.speed(faded(x))
                x = x / max(rms(x), 1e-4) * gain(rng.normal(0, 3))
            part = x[: n - at]
            y[at : at + len(part)] += part
            at += len(part) + int(RATE * pause * rng.random())
        return y / rms(y)

    def typing(self, n: int) -> Array:
        """Single keys drawn from the recordings of keyboards, at a typist's pace."""
        rng, y = self.rng, np.zeros(n)
        keys = [k for k in ("keys_mechanical", "keys_call") if k in self.pools.by_kind["noise"]]
        pool, pace, at = self.pools.by_kind["noise"][rng.choice(keys)], rng.uniform(0.06, 0.35), 0
        while at < n:
            x = pool.draw(rng)
            length = int(rng.uniform(0.08, 0.6) * RATE)
            if len(x) > length:
                start = rng.integers(len(x) - length)
                x = x[start : start + length]
            x = faded(x)[: n - at] / max(float(np.abs(x).max()), 1e-3) * rng.uniform(0.3, 1)
            y[at : at + len(x)] += x
            at += int(RATE * (0.03 + rng.exponential(pace)))
            if rng.random() < 0.04:
                at += int(RATE * rng.uniform(0.3, 2))
        return y / rms(y)

    def babble(self, n: int) -> Array:
        """Four to twelve talkers at once."""
        y = np.zeros(n)
        for _ in range(self.rng.integers(4, 12)):
            at = 0
            while at < n:
                x = self.utterance(self.pools.choose("speech", self.rng))[: n - at]
                y[at : at + len(x)] += x * self.rng.uniform(0.5, 1)
                at += len(x)
        return y / rms(y)

    def music(self, n: int) -> Array:
        return self.filled("music", n) if self.rng.random() < 0.75 else self.composed(n)

    def composed(self, n: int) -> Array:
        """Up to three voices of harmonic notes, and perhaps drums."""
        rng, y, length = self.rng, np.zeros(n), n / RATE
        beat, root = 60 / rng.uniform(70, 160), rng.uniform(80, 300)
        scale = [0, 2, 3, 5, 7, 8, 10, 12, 15] if rng.random() < 0.5 else [0, 2, 4, 5, 7, 9, 11, 12, 16]
        for _ in range(rng.integers(1, 4)):
            at, duration = rng.uniform(0, beat), beat * rng.choice([0.25, 0.5, 1, 2])
            harmonics, bright = rng.integers(2, 12), rng.uniform(0.4, 0.85)
            octave, decay, vibrato = rng.choice([0.5, 1, 2, 4]), rng.uniform(0.2, 1.5), rng.choice([0, 4e-4, 1e-3])
            while at < length:
                hz = root * octave * 2 ** (rng.choice(scale) / 12)
                start, end = int(at * RATE), min(n, int((at + duration * 1.3) * RATE))
                t = np.arange(end - start) / RATE
                shape = np.minimum(t / 0.01, 1) * np.exp(-t / (duration * decay))
                shape *= np.clip((duration * 1.3 - t) / 0.04, 0, 1)
                bent = t + vibrato * np.sin(2 * np.pi * 5.5 * t)
                for h in range(1, min(harmonics, int(7500 / hz) + 1)):
                    y[start:end] += shape * bright ** (h - 1) * np.sin(2 * np.pi * hz * h * bent + h)
                at += duration * rng.choice([1, 1, 1, 2])
        if rng.random() < 0.6:
            for at in np.arange(0, n - 1600, int(beat / 2 * RATE)):
                hit = rng.standard_normal(1600) * np.exp(-np.arange(1600) / rng.uniform(60, 500))
                y[at : at + 1600] += rng.uniform(0.2, 1) * hit
        return y / rms(y)

    def tone_of_room(self, n: int) -> Array:
        """Steady noise with the spectrum of the quietest frames of a recording of speech."""
        rng = self.rng
        x = self.pools.by_kind["speech"][self.pools.choose("speech", rng)].draw(rng)[: 5 * RATE]
        if len(x) < 22 * 256:
            return self.coloured(n)
        frames = np.lib.stride_tricks.sliding_window_view(x, 512)[::256]
        power = np.abs(np.fft.rfft(frames * np.hanning(512))) ** 2
        quiet = np.argsort(power[:, 3:].sum(1))[: max(4, len(power) // 12)]
        shape = power[quiet].mean(0)
        if shape.sum() < 1e-6:
            return self.coloured(n)
        response = np.roll(np.fft.irfft(np.sqrt(shape + 1e-12)), 256) * np.hanning(512)
        y = fftconvolve(rng.standard_normal(n + 512), response)[256 : 256 + n]
        return y / rms(y)

    def noise(self, n: int = SAMPLES, kind: str | None = None) -> Array:
        weight = np.array([w for w, _ in self.noises.values()])
        kind = kind or list(self.noises)[self.rng.choice(len(weight), p=weight / weight.sum())]
        y = self.noises[kind][1](n)
        if self.rng.random() < 0.15:
            # The floor steps up or down, once.
            at, step = self.rng.integers(n // 10, n), gain(self.rng.choice([-1, 1]) * self.rng.uniform(8, 25))
            y = y.copy()
            y[at:] *= step
        return y

    def distant(self, x: Array) -> Array:
        """x as from far away: dull, its echoes about as strong as itself."""
        rng = self.rng
        x = lfilter(*butter(rng.integers(1, 3), np.exp(rng.uniform(np.log(700), np.log(6000))) / 8000), x)
        n = int(rng.uniform(0.1, 0.8) * RATE)
        tail = rng.standard_normal(n) * 10 ** (-3 * np.arange(n) / n)
        tail *= gain(rng.uniform(-12, 6)) / np.sqrt((tail**2).sum())
        tail[0] += 1
        return fftconvolve(x, tail)

    def passing(self, n: int) -> Array:
        """A vehicle that passes: harmonics of its motor, and its wheels."""
        rng, t = self.rng, np.arange(n) / RATE
        middle, width = rng.uniform(0, n / RATE), rng.uniform(0.5, 4)
        far = (t - middle) / width
        y = lfilter(*butter(2, np.exp(rng.uniform(np.log(300), np.log(2500))) / 8000), rng.standard_normal(n))
        base = rng.uniform(25, 160) * (1 - rng.uniform(0, 0.06) * np.tanh(far))
        phase, motor = 2 * np.pi * np.cumsum(base) / RATE, np.zeros(n)
        for h in range(1, int(rng.integers(3, 16))):
            motor += h ** -rng.uniform(0.3, 1.2) * np.sin(h * phase + rng.uniform(0, 6.28))
        y = y / rms(y) + gain(rng.uniform(-15, 6)) * motor / rms(motor)
        return y / (1 + far**2)

    def bubbles(self, n: int) -> Array:
        """Water that laps: chirps that ring out, in bursts."""
        rng, y, at = self.rng, np.zeros(n), 0
        pause, high = rng.choice([0.01, 0.05, 0.2]), np.exp(rng.uniform(np.log(300), np.log(3000)))
        while at < n - 800:
            length = min(int(rng.uniform(0.01, 0.15) * RATE), n - at)
            t, hz = np.arange(length) / RATE, high * rng.uniform(0.3, 1.2)
            chirp = np.sin(2 * np.pi * hz * t * (1 + rng.uniform(-0.5, 2) * t)) * np.exp(-5 * t * RATE / length)
            y[at : at + length] += chirp * rng.uniform(0.1, 1)
            at += int(RATE * rng.exponential(pause)) + 40
            if rng.random() < 0.03:
                at += int(RATE * rng.uniform(0.1, 1.5))
        return y / rms(y)

    def outdoors(self, n: int) -> Array:
        """What is heard outdoors or through a window: a bed, vehicles that pass, water, single sounds from
        far away."""
        rng, noises = self.rng, self.pools.by_kind["noise"]
        beds = [name for name in OUTDOORS if name in noises]
        y = self.coloured(n) if rng.random() < 0.3 else self.filled("noise", n, rng.choice(beds))
        for _ in range(rng.integers(0, 3)):
            x = self.passing(n)
            y = y + x / rms(x) * gain(rng.uniform(-12, 10))
        if rng.random() < 0.3:
            y = y + self.bubbles(n) * gain(rng.uniform(-12, 10))
        singles = [name for name in SINGLE if name in noises]
        for _ in range(rng.integers(0, 7)):
            x = noises[rng.choice(singles)].draw(rng)[: 4 * RATE].astype(np.float64)
            x = faded(self.distant(faded(x))[: 5 * RATE])
            at = rng.integers(0, n - RATE // 4)
            x = x[: n - at] / max(rms(x), 1e-4) * gain(rng.uniform(-12, 14))
            y[at : at + len(x)] += x
        return y / rms(y)

    def crowd(self, n: int = SAMPLES) -> Array:
        """Many people who talk in a hall, none of them near: what the teacher hears is in `teach.py`."""
        rng, y = self.rng, np.zeros(n)
        for _ in range(rng.integers(6, 30)):
            at = -int(rng.integers(0, 4 * RATE))
            far = gain(-rng.uniform(0, 12))
            while at < n:
                x = self.utterance(self.pools.choose("speech", rng))[max(0, -at) : n - at]
                at = max(at, 0)
                y[at : at + len(x)] += x * far
                at += len(x) + int(RATE * rng.exponential(0.7))
        y = self.distant(y)[:n]
        y = y / rms(y) + self.noise(n, rng.choice(["coloured", "recorded", "music"])) * gain(-rng.uniform(0, 25))
        return self.captured(y, rms(y))

    # Rooms, microphones, lines

    def room(self, x: Array) -> Array:
        """x in a recorded or made room, as far from the microphone as it comes."""
        rng = self.rng
        rooms = self.pools.by_kind.get("room")
        if rooms and rng.random() < 0.5:
            response = rooms[list(rooms)[rng.integers(len(rooms))]].draw(rng)[: 2 * RATE].astype(np.float64)
            peak = int(np.argmax(np.abs(response)))
            response = response[max(0, peak - 16) :]
            response /= np.sqrt((response**2).sum() + 1e-9)
            return fftconvolve(x, response)[: len(x)]
        t60 = rng.uniform(0.1, 0.9)
        n = int(t60 * RATE * 0.8)
        tail = rng.standard_normal(n) * 10 ** (-3 * np.arange(n) / (t60 * RATE))
        tail[: int(rng.uniform(0.001, 0.01) * RATE)] = 0
        tail *= gain(-rng.uniform(-6, 16)) / np.sqrt((tail**2).sum() + 1e-9)
        if rng.random() < 0.5:
            tail = lfilter(*butter(1, rng.uniform(1500, 7000) / 8000), tail)
        tail[0] = 1
        return fftconvolve(x, tail)[: len(x)]

    def line(self, x: Array) -> Array:
        """x through some bandwidth and equaliser."""
        rng = self.rng
        kind = rng.random()
        if kind < 0.12:
            low = resample_poly(x, 1, 2)
            if rng.random() < 0.5:
                x = resample_poly(low, 2, 1)[: len(x)]
            else:
                # As the detector doubles the rate of 8 kHz: on straight lines.
                x = np.interp(np.arange(len(x)) / 2, np.arange(len(low)), low)
        elif kind < 0.2:
            x = lfilter(*butter(rng.integers(1, 5), rng.uniform(2500, 7500) / 8000), x)
        if rng.random() < 0.15:
            x = lfilter(*butter(1, rng.uniform(80, 500) / 8000, "high"), x)
        if rng.random() < 0.2:
            x = x + rng.uniform(-0.7, 2) * lfilter(*butter(1, rng.uniform(500, 3000) / 8000), x)
        return x

    def captured(self, x: Array, reference: float, level: float | None = None) -> Array:
        """x at `level` dBFS or some (`reference` is that of its speech or noise), with the faults of
        capture: clipping, an offset, hum, a codec; 16 bits."""
        rng = self.rng
        if level is None:
            level = rng.normal(-26, 7) if rng.random() < 0.8 else rng.uniform(-70, -40)
        x = x / max(reference, 1e-9) * gain(level)
        if rng.random() < 0.04:
            x = x + self.hum(len(x)) * gain(level + rng.uniform(0, 14))
        if rng.random() < 0.05:
            x = x * gain(rng.uniform(0, 24))
        else:
            x = x * min(1.0, 0.99 / max(float(np.abs(x).max()), 1e-9))
        if rng.random() < 0.05:
            x = x + rng.choice([-1, 1]) * rng.uniform(0.005, 0.2)
        if rng.random() < 0.14 and level > -50:
            x = through_codec(np.clip(x, -1, 1), rng.choice(list(CODECS)))
        return np.clip(np.round(x * 32767), -32768, 32767) / 32768

    def spoken(self, clean: Array, regions: list[tuple[int, int]]) -> Array:
        """One way in which a clean stream could have been recorded."""
        rng = self.rng
        x = clean.astype(np.float64)
        if regions and regions[0][0] >= LATE and rng.random() < 0.7:
            return self.from_far(x, regions)
        if rng.random() < 0.45:
            x = self.room(x)
        if rng.random() < 0.5:
            x = self.line(x)
        voiced = np.concatenate([x[start:end] for start, end in regions])
        level = active_level(voiced) if regions else 1.0
        if rng.random() < 0.88:
            snr = rng.choice([rng.uniform(20, 45), rng.uniform(8, 25), rng.uniform(-2, 12)],
                             p=[0.35, 0.35, 0.3])
            x = x + self.noise() * level * gain(-snr)
            if rng.random() < 0.2:
                x = x + self.noise() * level * gain(-rng.uniform(5, 30))
        return self.captured(x, level)

    def from_far(self, x: Array, regions: list[tuple[int, int]]) -> Array:
        """A quiet room, then somebody far from the microphone."""
        rng = self.rng
        x = self.room(x)
        if rng.random() < 0.5:
            x = self.room(x)
        level = active_level(np.concatenate([x[start:end] for start, end in regions]))
        kind = rng.choice(["tone_of_room", "coloured", "hum", "keys", "recorded"], p=[0.5, 0.2, 0.1, 0.1, 0.1])
        x = x + self.noise(kind=kind) * level * gain(-rng.uniform(8, 40))
        return self.captured(x, level, rng.uniform(-58, -28))

    def unspoken(self) -> Array:
        """A stream without speech."""
        rng = self.rng
        kinds = ["music", "recorded", "outdoors", "keys", "events", "coloured", "tone_of_room", "hum", "silence"]
        kind = rng.choice(kinds, p=[0.27, 0.16, 0.26, 0.06, 0.09, 0.04, 0.04, 0.03, 0.05])
        if kind == "silence":
            x = rng.standard_normal(SAMPLES) * gain(-rng.uniform(60, 110)) * rng.integers(0, 2)
            return np.round(x * 32767) / 32768
        x = self.noise(kind=kind)
        if rng.random() < 0.4:
            x = x + self.noise(kind=rng.choice(["coloured", "hum", "recorded"])) * gain(-rng.uniform(3, 30))
        if rng.random() < 0.3:
            x = self.room(x)
        if rng.random() < 0.3:
            x = self.line(x)
        return self.captured(x, rms(x), rng.uniform(-72, -38) if rng.random() < 0.35 else None)
