"""The front end of the detector in numpy: what dsp/src/vad/neural computes frame by frame, here for a
batch of signals at once.

Per 10 ms: 16 mel bands of the last 32 ms, a level tracker, the noise floor (minimum statistics), the
log-likelihood ratio of speech over noise in each band, 35 features that do not depend on the input
level, and the gain that brings quiet speech up before Silero's network hears it, where that shows signs of
speech.
"""

from __future__ import annotations

import numpy as np

from silero import HIDDEN, HOP, RATE, WINDOW, Silero, logit

BANDS = 16
#: Features of a frame.
FEATURES = 2 * BANDS + 3
#: What 1 in the log-likelihood ratios among them stands for.
RATIO_SCALE = 4

#: Level tracker in dB: rises by a quarter of the difference and at most 3 dB a frame, falls by half a dB a second.
ATTACK, ATTACK_MAX, RELEASE, LOWEST = 0.25, 3.0, 0.005, -85.0
#: Frames at the start in which it rises at once.
START = 8
#: Speech whose tracked level is below this is brought up to it, by at most MAX_GAIN dB, and no single
#: frame to more than HEADROOM dB above it.
TARGET, MAX_GAIN, HEADROOM = -46.0, 20.0, 12.0
#: Where Silero's logit has not exceeded SIGN within PATIENCE frames, nothing is raised.
SIGN, PATIENCE = -3.0, 300
#: Mean of the samples, subtracted before Silero: share of the past; one so far off is followed at once.
DC_KEEP, DC_JUMP = 0.95, 1.0

FORGET, WARM_UP = 0.995, 50
BLOCK, BLOCKS, BIAS, SMOOTH = 15, 6, 1.4, 0.6
FLUX = 4
PEAK_DECAY = 0.05


def mel_bands() -> tuple[np.ndarray, np.ndarray]:
    """Triangles [bands, bins] on the mel scale from 80 to 7600 Hz, each of sum 1, and their centres."""
    mel = lambda hz: 2595 * np.log10(1 + hz / 700)
    hertz = lambda m: 700 * (10 ** (m / 2595) - 1)
    edges = hertz(np.linspace(mel(80.0), mel(7600.0), BANDS + 2))
    bins = np.arange(WINDOW // 2 + 1) * RATE / WINDOW
    rows = []
    for low, centre, high in zip(edges, edges[1:], edges[2:]):
        row = np.maximum(np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)), 0)
        rows.append(row / row.sum())
    return np.array(rows), edges[1:-1]


HANN = np.hanning(WINDOW + 1)[:WINDOW]
MEL, CENTRES = mel_bands()
SPEECH_BANDS = (CENTRES >= 150) & (CENTRES <= 4000)


def band_energies(x: np.ndarray) -> np.ndarray:
    """Energies [signals, frames, bands] of signals [signals, samples]; zeros come before each."""
    frames = x.shape[1] // HOP
    padded = np.pad(x[:, : frames * HOP], ((0, 0), (WINDOW - HOP, 0)))
    energies = np.empty((len(x), frames, BANDS))
    scale = 2 / (WINDOW * (HANN**2).sum())
    for row, signal in zip(energies, padded):
        windows = np.lib.stride_tricks.sliding_window_view(signal, WINDOW)[::HOP]
        spectrum = np.fft.rfft(windows * HANN)
        row[:] = 8 * (np.abs(spectrum) ** 2 * scale) @ MEL.T + 1e-9
    return energies


def decibel(x: np.ndarray) -> np.ndarray:
    return 10 * np.log10(x)


def track_level(total: np.ndarray) -> np.ndarray:
    """Tracked level in dB [signals, frames] of levels in dB."""
    out = np.empty_like(total)
    level = np.maximum(total[:, 0], LOWEST)
    for t in range(total.shape[1]):
        x = total[:, t]
        rise = x - level if t < START else np.minimum(ATTACK * (x - level), ATTACK_MAX)
        level = np.where(x > level, level + rise, np.maximum(x, level - RELEASE))
        level = np.maximum(level, LOWEST)
        out[:, t] = level
    return out


def noise_floor(energy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Smoothed energy and noise floor, both [signals, frames, bands]: minimum statistics."""
    smooth, floor = np.empty_like(energy), np.empty_like(energy)
    s = energy[:, 0].copy()
    blocks = np.full((BLOCKS, *s.shape), np.inf)
    current, oldest, slot = np.full(s.shape, np.inf), np.full(s.shape, np.inf), 0
    for t in range(energy.shape[1]):
        s = energy[:, 0] if t == 0 else SMOOTH * s + (1 - SMOOTH) * energy[:, t]
        current = np.minimum(current, s)
        smooth[:, t], floor[:, t] = s, BIAS * np.minimum(current, oldest)
        if t % BLOCK == BLOCK - 1:
            blocks[slot], current = current, np.full(s.shape, np.inf)
            slot = (slot + 1) % BLOCKS
            oldest = blocks.min(0)
    return smooth, floor


def ratios(x: np.ndarray, floor: np.ndarray) -> np.ndarray:
    """Log-likelihood ratio of speech over noise, limited to +-4: two Gaussians over the level in dB.
    x and floor in dB [signals, frames, bands]."""
    out = np.empty_like(x)
    noise_mean, speech_mean = x[:, 0].copy(), x[:, 0] + 15
    noise_var, speech_var = np.full_like(noise_mean, 16.0), np.full_like(noise_mean, 64.0)
    weight = np.full_like(noise_mean, 0.5)
    for t in range(x.shape[1]):
        forget = min(FORGET, 1 - 1 / (t / 2 + 8)) if t < WARM_UP else FORGET
        learn = 1 - forget
        en, es = x[:, t] - noise_mean, x[:, t] - speech_mean
        dn = -en * en / (2 * noise_var) - 0.5 * np.log(noise_var)
        ds = -es * es / (2 * speech_var) - 0.5 * np.log(speech_var)
        ds = np.where(en < 0, np.minimum(ds, dn - 2), ds)
        dn = np.where(es > 0, np.minimum(dn, ds - 2), dn)
        ratio = ds - dn
        out[:, t] = np.clip(ratio, -4, 4)
        p = 1 / (1 + np.exp(-(np.clip(ratio, -30, 30) + np.log(weight / (1 - weight)))))
        weight = np.clip(forget * weight + learn * p, 0.1, 0.9)
        gn, gs = learn * (1 - p) / (1 - weight), learn * p / weight
        noise_mean, speech_mean = noise_mean + gn * en, speech_mean + gs * es
        en, es = x[:, t] - noise_mean, x[:, t] - speech_mean
        noise_var = np.clip(noise_var + gn * (en * en - noise_var), 2, 100)
        speech_var = np.clip(speech_var + gs * (es * es - speech_var), 64, 150)
        f = floor[:, t]
        high, low = noise_mean > f + 5, noise_mean < f - 1.5
        noise_mean = np.where(high, noise_mean + 0.05 * (f + 5 - noise_mean),
                              np.where(low, noise_mean + 0.2 * (f - 1.5 - noise_mean), noise_mean))
        speech_mean = np.maximum(speech_mean, noise_mean + 5)
    return out


def falling_peak(x: np.ndarray) -> np.ndarray:
    """Peak so far of x [signals, frames], forgotten by PEAK_DECAY a frame."""
    out = np.empty_like(x)
    peak = np.full(len(x), -np.inf)
    for t in range(x.shape[1]):
        peak = np.maximum(x[:, t], peak - PEAK_DECAY)
        out[:, t] = peak
    return out


def features(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features [signals, frames, FEATURES], gain for Silero in dB [signals, frames] and how many dB the
    tracked level lies over the noise floor [signals, frames], of signals [signals, samples] in [-1, 1]."""
    energy = band_energies(x)
    smooth, floor = noise_floor(energy)
    noise = decibel(floor.mean(2))
    level, smooth, floor = decibel(energy), decibel(smooth), decibel(floor)
    total = decibel(energy.mean(2))
    tracked = track_level(total)
    ratio = ratios(smooth, floor)
    before = np.concatenate([level[:, :FLUX], level[:, :-FLUX]], 1)
    change = level - before
    change[:, :FLUX] = 0
    flux = np.abs(change - change.mean(2, keepdims=True)).mean(2)
    low = smooth[:, :, :4].mean(2)
    under_peak = np.maximum(low - falling_peak(low), -40.0)
    above = np.clip(smooth - floor, 0, 25)[:, :, SPEECH_BANDS].mean(2)
    scalars = np.stack([flux / 4, under_peak / 10, above / 10], 2)
    own = np.concatenate([(level - tracked[:, :, None]) / 20, ratio / RATIO_SCALE, scalars], 2)
    gain = np.minimum(TARGET - tracked, TARGET + HEADROOM - total)
    gain = np.clip(gain, 0, MAX_GAIN)
    return own.astype(np.float32), gain.astype(np.float32), (tracked - noise).astype(np.float32)


def ramp(values: np.ndarray, first: np.ndarray) -> np.ndarray:
    """A value per sample: straight lines from each frame's value to the next one's, over HOP samples,
    from `first` on."""
    before = np.concatenate([first[:, None], values[:, :-1]], 1)
    steps = np.arange(1, HOP + 1) / HOP
    lines = before[:, :, None] + (values - before)[:, :, None] * steps
    return lines.reshape(len(values), -1)


def without_offset(x: np.ndarray, frames: int) -> np.ndarray:
    """x [signals, samples] without its mean, as far as whole frames reach."""
    x = x[:, : frames * HOP]
    means = x.reshape(len(x), frames, HOP).mean(2)
    dc = np.empty_like(means)
    tracked = np.zeros(len(x))
    for t in range(frames):
        slow = DC_KEEP * tracked + (1 - DC_KEEP) * means[:, t]
        tracked = np.where(np.abs(means[:, t] - tracked) > DC_JUMP, means[:, t], slow)
        dc[:, t] = tracked
    return x - ramp(dc, np.zeros(len(x)))


def listen(silero: Silero, x: np.ndarray, gain_db: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Silero's probabilities [signals, windows] and hidden states [signals, windows, 128] of signals
    [signals, samples] without their means and raised by up to `gain_db` [signals, frames]; and by how many
    dB they were raised [signals, frames]."""
    count, frames = gain_db.shape
    x = without_offset(x, frames)
    windows = frames * HOP // WINDOW
    raised = np.zeros_like(gain_db)
    p, hidden = np.zeros((count, windows), np.float32), np.zeros((count, windows, HIDDEN), np.float32)
    state, since, before = silero.start(count), np.zeros(count, int), None
    for t in range(frames):
        raised[:, t] = np.where(since <= PATIENCE, gain_db[:, t], 0)
        since += 1
        factor = 10 ** (raised[:, t] / 20)
        before = factor if before is None else before
        x[:, t * HOP : (t + 1) * HOP] *= ramp(factor[:, None], before)
        before, window = factor, (t + 1) * HOP // WINDOW - 1
        if window >= 0 and (t + 1) * HOP % WINDOW < HOP:
            p[:, window], state = silero.step(x[:, window * WINDOW : (window + 1) * WINDOW], state)
            hidden[:, window] = state.hidden
            since[logit(p[:, window]) > SIGN] = 0
    return p, hidden, raised
