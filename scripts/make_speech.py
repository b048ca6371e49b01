#!/usr/bin/python3
"""Joins Debian's spoken channel names into one recording with pauses, and notes where speech is.

make_speech.py OUT.wav OUT.csv [CLIP_DIR]

The clips are those of alsa-utils (48 kHz, mono, S16). Pauses hold faint noise of a fixed seed, as a
quiet room would. OUT.csv has a line `start_s,end_s` per utterance: where the clip's 10 ms level is
above -60 dBFS (the weakest fricatives; the clips are silent otherwise), found on the clip alone."""
import sys
import wave

import numpy as np

CLIPS = ["Front_Center", "Front_Left", "Front_Right", "Rear_Center", "Rear_Left", "Rear_Right",
         "Side_Left", "Side_Right"]
RATE = 48000
PAUSE = 0.7


def read(path):
    with wave.open(path) as w:
        if (w.getframerate(), w.getnchannels(), w.getsampwidth()) != (RATE, 1, 2):
            sys.exit(f"{path}: expected 48 kHz mono S16")
        return np.frombuffer(w.readframes(w.getnframes()), "<i2")


def spoken(audio):
    """First and last frame of speech."""
    frames = audio[: len(audio) // 480 * 480].reshape(-1, 480) / 32768
    level = 10 * np.log10((frames**2).mean(1) + 1e-12)
    loud = np.nonzero(level > -60)[0]
    return loud[0] * 480, (loud[-1] + 1) * 480


def main(wav, csv, clips="/usr/share/sounds/alsa"):
    noise = np.random.RandomState(1)
    parts, marks, at = [], [], 0

    def add(samples):
        nonlocal at
        parts.append(samples)
        at += len(samples)

    def pause():
        add(np.clip(np.rint(noise.normal(0, 4, int(PAUSE * RATE))), -32768, 32767).astype("<i2"))

    pause()
    for name in CLIPS:
        audio = read(f"{clips}/{name}.wav")
        first, last = spoken(audio)
        marks.append(((at + first) / RATE, (at + last) / RATE))
        add(audio)
        pause()
    with wave.open(wav, "wb") as w:
        w.setnchannels(1)
        w.setsampwidth(2)
        w.setframerate(RATE)
        w.writeframes(np.concatenate(parts).tobytes())
    with open(csv, "w") as f:
        f.writelines(f"{a:.3f},{b:.3f}\n" for a, b in marks)
    print(f"  {wav}: {at / RATE:.2f} s, {len(marks)} utterances")


if __name__ == "__main__":
    main(*sys.argv[1:])
