"""Noises of the test conditions, made from fixed seeds. None of this code makes training data."""

from __future__ import annotations

import zlib

import numpy as np
from scipy.signal import butter, lfilter

RATE = 16_000
KINDS = ("white", "pink", "babble", "hum", "fan", "music")
LEVELS_DB = (20, 10, 5, 0)


def generator(*key: object) -> np.random.Generator:
    """A generator that depends on the key alone."""
    return np.random.default_rng(zlib.crc32("/".join(map(str, key)).encode()))


def white(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.standard_normal(n)


def pink(rng: np.random.Generator, n: int) -> np.ndarray:
    size = 1 << n.bit_length()
    bins = np.arange(size // 2 + 1)
    spectrum = rng.standard_normal(len(bins)) + 1j * rng.standard_normal(len(bins))
    return np.fft.irfft(spectrum / np.sqrt(np.maximum(bins, 20 * size / RATE)))[:n]


def hum(rng: np.random.Generator, n: int) -> np.ndarray:
    """Twenty harmonics of 50 Hz, the odd ones stronger, slowly swelling."""
    t, base = np.arange(n) / RATE, 50 + rng.uniform(-0.2, 0.2)
    y = np.zeros(n)
    for h in range(1, 21):
        y += h ** (-0.7 if h % 2 else -1.2) * np.sin(2 * np.pi * base * h * t + rng.uniform(0, 6.28))
    return y * (1 + 0.05 * np.sin(2 * np.pi * 0.7 * t)) + 0.02 * rng.standard_normal(n)


def fan(rng: np.random.Generator, n: int) -> np.ndarray:
    """Low-passed noise in the beat of blades, a hiss, three harmonics of the motor."""
    t = np.arange(n) / RATE
    low = lfilter(*butter(2, 500 / 8000), rng.standard_normal(n + 2000))[2000:]
    y = low / low.std() * (1 + 0.25 * np.sin(2 * np.pi * rng.uniform(5, 9) * t))
    y += 0.3 * lfilter(*butter(1, [60 / 8000, 3000 / 8000], "band"), rng.standard_normal(n))
    motor = rng.uniform(90, 140)
    for h in (1, 2, 3):
        y += 0.25 / h * np.sin(2 * np.pi * motor * h * t + rng.uniform(0, 6.28))
    return y


def note(y: np.ndarray, hz: float, at: float, duration: float, loud: float, harmonics: int,
         bright: float) -> None:
    """Adds a decaying harmonic tone."""
    start, end = max(int(at * RATE), 0), min(int((at + 1.5 * duration) * RATE), len(y))
    if end <= start:
        return
    t = np.arange(start, end) / RATE - at
    shape = np.minimum(t / 0.01, 1) * np.exp(-t / (0.8 * duration))
    shape *= np.clip((1.5 * duration - t) / 0.05, 0, 1)
    bent = t + 4e-4 * np.sin(2 * np.pi * 5.5 * t)
    for h in range(1, min(harmonics, int(7500 / hz)) + 1):
        y[start:end] += loud * shape * bright ** (h - 1) * np.sin(2 * np.pi * hz * h * bent + h)


def music(rng: np.random.Generator, n: int) -> np.ndarray:
    """Four chords in turn: bass, chord, melody, hi-hat."""
    y, beat = np.zeros(n), 60 / rng.uniform(90, 130)
    first = rng.uniform(0, beat)
    for i in range(int(n / RATE / beat) + 3):
        at, bar = i * beat - first, (i // 4) % 4
        root = 220 * 2 ** ((0, -4, 3, -2)[bar] / 12)
        note(y, root / 2, at, beat, 0.8, 8, 0.6)
        if i % 2 == 0:
            for step in (0, 3 if bar % 2 == 0 else 4, 7):
                note(y, root * 2 ** (step / 12), at, 2 * beat, 0.35, 10, 0.65)
        for half in (0, 1):
            step = rng.choice([0, 3, 5, 7, 10, 12, 15])
            note(y, root * 2 * 2 ** (step / 12), at + half * beat / 2, beat / 2, 0.45, 9, 0.7)
            start = int((at + half * beat / 2) * RATE)
            length = min(1600, n - start)
            if start >= 0 and length > 0:
                hit = np.diff(rng.standard_normal(length + 1)) * np.exp(-np.arange(length) / 400)
                y[start : start + length] += 0.12 * hit
    return y


def babble(rng: np.random.Generator, n: int, talkers: list[np.ndarray]) -> np.ndarray:
    """Eight of the talkers at once, each from a random place on, over and over."""
    y = np.zeros(n)
    for i in rng.choice(len(talkers), 8, replace=False):
        y += np.resize(np.roll(talkers[i], -rng.integers(len(talkers[i]))), n)
    return y


def made(kind: str, rng: np.random.Generator, n: int, talkers: list[np.ndarray]) -> np.ndarray:
    """Noise of a kind at a root mean square of 1."""
    if kind == "babble":
        y = babble(rng, n, talkers)
    else:
        y = {"white": white, "pink": pink, "hum": hum, "fan": fan, "music": music}[kind](rng, n)
    return y / np.sqrt(np.mean(y**2))


def dtmf(rng: np.random.Generator, n: int) -> np.ndarray:
    """Keys pressed for 50 to 200 ms with as long pauses, at a third of full scale."""
    y, at = np.zeros(n), 0
    while at < n:
        t = np.arange(int(rng.uniform(0.05, 0.2) * RATE)) / RATE
        tones = rng.choice([697, 770, 852, 941]), rng.choice([1209, 1336, 1477, 1633])
        x = 0.15 * (np.sin(2 * np.pi * tones[0] * t) + np.sin(2 * np.pi * tones[1] * t))
        y[at : at + len(x)] = x[: n - at]
        at += len(x) + int(rng.uniform(0.05, 0.2) * RATE)
    return y


def siren(rng: np.random.Generator, n: int) -> np.ndarray:
    """Wail, yelp and two-tone, ten seconds each, with overtones."""
    t = np.arange(n) / RATE
    turn = (t // 10).astype(int) % 3
    wail = 700 + 800 * (0.5 - 0.5 * np.cos(2 * np.pi * t / 4.5))
    yelp = 700 + 800 * np.mod(t * 3.2, 1)
    horn = np.where(np.mod(t, 1.0) < 0.5, 435.0, 580.0)
    hz = np.choose(turn, [wail, yelp, horn]) * rng.uniform(0.97, 1.03)
    phase = 2 * np.pi * np.cumsum(hz) / RATE
    return 0.1 * sum(np.sin(h * phase) / h for h in (1, 2, 3, 4)) + 0.001 * rng.standard_normal(n)


def typing(rng: np.random.Generator, n: int, keys: list[np.ndarray]) -> np.ndarray:
    """Recorded keys pressed at about six a second, with pauses."""
    y, at = np.zeros(n), 0
    while at < n:
        x = keys[rng.integers(len(keys))][: n - at]
        y[at : at + len(x)] += x
        at += int(RATE * (0.06 + rng.exponential(0.1)))
        if rng.random() < 0.05:
            at += int(RATE * rng.uniform(0.5, 2))
    return y
