"""Sounds that hold no speech, for `cargo run --release --example vad_eval -- --share DIR`.

    apt-get install asterisk-moh-opsound-wav bucklespring-data python3-numpy
    vad_sounds.py DIR

Music on hold as Debian has it (links), a minute of typing made of bucklespring's keys, and what a
formula gives: DTMF, a siren, a dial tone, mains hum, and a noise floor that rises by 20 dB at once."""
import glob
import os
import sys
import wave

import numpy as np

RATE = 16000
SECONDS = 60
MUSIC = "/usr/share/asterisk/moh/*.wav"
KEYS = "/usr/share/buckle/wav/*.wav"


def write(path, x):
    with wave.open(path, "wb") as w:
        w.setparams((1, 2, RATE, 0, "NONE", ""))
        w.writeframes((np.clip(x, -1, 1) * 32767).astype("<i2").tobytes())


def key(path):
    """One keystroke at 16 kHz, from 44.1 or 48."""
    with wave.open(path) as w:
        rate, channels = w.getframerate(), w.getnchannels()
        if w.getsampwidth() != 2:
            sys.exit(f"{path}: expected 16 bits")
        x = np.frombuffer(w.readframes(w.getnframes()), "<i2").reshape(-1, channels).mean(1)
    n = np.arange(-32, 33)
    cut = 0.9 * RATE / rate
    low = np.convolve(x / 32768, cut * np.sinc(cut * n) * np.hanning(65), "same")
    return np.interp(np.arange(int(len(x) * RATE / rate)) * rate / RATE, np.arange(len(x)), low)


def typing(random):
    keys = [key(f) for f in sorted(glob.glob(KEYS))]
    if not keys:
        sys.exit(f"no {KEYS}: install bucklespring-data")
    x = random.normal(0, 2e-4, RATE * SECONDS)
    at = 0
    while at < len(x):
        k = keys[random.integers(len(keys))][: len(x) - at]
        x[at : at + len(k)] += k
        at += int(RATE * random.gamma(3, 0.06))
    return x / np.abs(x).max() * 0.5


def dtmf(random):
    """A key of 0.12 s every 0.25 s."""
    t = np.arange(RATE * SECONDS) / RATE
    low, high = [697, 770, 852, 941], [1209, 1336, 1477, 1633]
    digit = random.integers(16, size=SECONDS * 4)[(t * 4).astype(int)]
    tone = sum(np.sin(2 * np.pi * np.choose(i, f) * t)
               for f, i in ((low, digit // 4), (high, digit % 4)))
    return 0.2 * tone * (t % 0.25 < 0.12) + random.normal(0, 2e-4, t.size)


def siren(random):
    t = np.arange(RATE * SECONDS) / RATE
    phase = 2 * np.pi * np.cumsum(900 + 400 * np.sin(2 * np.pi * t / 4)) / RATE
    return 0.2 * sum(np.sin(h * phase) / h for h in (1, 2, 3)) + random.normal(0, 1e-3, t.size)


def dial(random):
    t = np.arange(RATE * SECONDS) / RATE
    return 0.2 * np.sin(2 * np.pi * 425 * t) + random.normal(0, 2e-4, t.size)


def hum(random):
    t = np.arange(RATE * SECONDS) / RATE
    tones = sum(np.sin(2 * np.pi * 50 * h * t + random.uniform(0, 6)) / h for h in range(1, 20))
    return 0.05 * tones + random.normal(0, 1e-3, t.size)


def step(random):
    """-66 dBFS, and -46 from the tenth second on, again and again."""
    t = np.arange(RATE * SECONDS) / RATE
    return random.normal(0, 1, t.size) * np.where(t % 20 < 10, 5e-4, 5e-3)


def main(target):
    os.makedirs(target, exist_ok=True)
    music = glob.glob(MUSIC)
    if not music:
        sys.exit(f"no {MUSIC}: install asterisk-moh-opsound-wav")
    for path in music:
        link = os.path.join(target, "moh-" + os.path.basename(path))
        if not os.path.lexists(link):
            os.symlink(path, link)
    for make in (typing, dtmf, siren, dial, hum, step):
        write(os.path.join(target, make.__name__ + ".wav"), make(np.random.default_rng(1)))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
