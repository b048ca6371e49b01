// SPDX-License-Identifier: MIT

//! Noises to mix speech with, made from a seed: the same on every machine.

use std::f32::consts::TAU;

/// What [`make`] can make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    White,
    Pink,
    /// Eight talkers, cut from the given speech.
    Babble,
    /// 50 Hz mains with its harmonics.
    Hum,
    /// Turbulence with the tones of the blades.
    Fan,
    /// Chords, arpeggios, bass and drums, in turn and together.
    Music,
}

impl Kind {
    pub const ALL: [Self; 6] = [
        Self::White,
        Self::Pink,
        Self::Babble,
        Self::Hum,
        Self::Fan,
        Self::Music,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::White => "white",
            Self::Pink => "pink",
            Self::Babble => "babble",
            Self::Hum => "hum",
            Self::Fan => "fan",
            Self::Music => "music",
        }
    }
}

/// Xorshift64*: good enough for noise, and its sequence never changes.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        let mut random = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        for _ in 0..8 {
            random.next();
        }
        random
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// In [0, 1).
    pub fn uniform(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 24) as f32
    }

    /// Below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.uniform() * n as f32) as usize
    }

    /// Normal with variance 1, by the sum of twelve.
    fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.uniform()).sum::<f32>() - 6.0
    }
}

/// `len` samples at `rate` Hz of root mean square 1. `speech` is cut up for babble.
pub fn make(kind: Kind, len: usize, rate: f32, seed: u64, speech: &[Vec<f32>]) -> Vec<f32> {
    let mut random = Random::new(seed);
    let mut x = match kind {
        Kind::White => (0..len).map(|_| random.normal()).collect(),
        Kind::Pink => pink(len, &mut random),
        Kind::Babble => babble(len, speech, &mut random),
        Kind::Hum => hum(len, rate, &mut random),
        Kind::Fan => fan(len, rate, &mut random),
        Kind::Music => music(len, rate, &mut random),
    };
    scale(&mut x, 1.0);
    x
}

/// Scales to a root mean square.
pub fn scale(x: &mut [f32], rms: f32) {
    let now = (x.iter().map(|x| f64::from(x * x)).sum::<f64>() / x.len().max(1) as f64).sqrt();
    let gain = rms / (now as f32).max(1e-9);
    x.iter_mut().for_each(|x| *x *= gain);
}

/// Paul Kellet's filter.
fn pink(len: usize, random: &mut Random) -> Vec<f32> {
    let poles = [0.99886, 0.99332, 0.969, 0.8665, 0.55, -0.7616];
    let gains = [
        0.0555179, 0.0750759, 0.153852, 0.3104856, 0.5329522, -0.016898,
    ];
    let mut state = [0f32; 6];
    let mut before = 0.0;
    (0..len)
        .map(|_| {
            let white = random.normal();
            for ((s, p), g) in state.iter_mut().zip(poles).zip(gains) {
                *s = p * *s + g * white;
            }
            let y = state.iter().sum::<f32>() + before + 0.5362 * white;
            before = 0.115926 * white;
            y
        })
        .collect()
}

fn babble(len: usize, speech: &[Vec<f32>], random: &mut Random) -> Vec<f32> {
    let mut sum = vec![0f32; len];
    if speech.is_empty() {
        return sum;
    }
    for _ in 0..8 {
        let mut voice = speech[random.below(speech.len())].clone();
        scale(&mut voice, 1.0);
        let start = random.below(voice.len());
        for (s, v) in sum.iter_mut().zip(voice.iter().cycle().skip(start)) {
            *s += v;
        }
    }
    sum
}

fn hum(len: usize, rate: f32, random: &mut Random) -> Vec<f32> {
    let partials: Vec<(f32, f32, f32)> = (1..30)
        .map(|h| {
            let level = random.uniform() / (h as f32).powf(0.8);
            (50.0 * h as f32, level, TAU * random.uniform())
        })
        .collect();
    (0..len)
        .map(|i| {
            let t = i as f32 / rate;
            let swell = 1.0 + 0.1 * (TAU * 0.3 * t).sin();
            let tones: f32 = partials
                .iter()
                .map(|(f, a, p)| a * (TAU * (f * t).fract() + p).sin())
                .sum();
            swell * tones + 0.02 * random.normal()
        })
        .collect()
}

fn fan(len: usize, rate: f32, random: &mut Random) -> Vec<f32> {
    let (mut low, mut lower) = (0f32, 0f32);
    let blade = 80.0 + 60.0 * random.uniform();
    (0..len)
        .map(|i| {
            let t = i as f32 / rate;
            let white = random.normal();
            low += 0.25 * (white - low);
            lower += 0.04 * (white - lower);
            let turn = (TAU * (blade / 5.0 * t).fract()).sin();
            let tones: f32 = (1..5)
                .map(|h| (TAU * (blade * h as f32 * t).fract()).sin() / h as f32)
                .sum();
            (low + 3.0 * lower) * (1.0 + 0.15 * turn) + 0.15 * tones
        })
        .collect()
}

/// One note, added to `x` from `start` on.
struct Note {
    hz: f32,
    gain: f32,
    /// Time to the peak and then to 1/e, in s.
    attack: f32,
    decay: f32,
    seconds: f32,
    partials: usize,
    /// How fast partials get weaker.
    slope: f32,
    /// Depth in parts of the pitch.
    vibrato: f32,
}

impl Note {
    fn play(&self, x: &mut [f32], start: usize, rate: f32, random: &mut Random) {
        let end = (start + (self.seconds * rate) as usize).min(x.len());
        let (mut phase, mut wobble) = (random.uniform(), random.uniform());
        for (i, y) in x.iter_mut().enumerate().take(end).skip(start) {
            let t = (i - start) as f32 / rate;
            let release = ((end - i) as f32 / (0.03 * rate)).min(1.0);
            let swell = (t / self.attack).min(1.0) * (-t / self.decay).exp() * release;
            wobble = (wobble + 5.5 / rate).fract();
            phase += self.hz * (1.0 + self.vibrato * (TAU * wobble).sin()) / rate;
            if phase > 4096.0 {
                phase -= 4096.0;
            }
            let top = (0.45 * rate / self.hz) as usize;
            let tone: f32 = (1..=self.partials.min(top))
                .map(|h| (TAU * (phase * h as f32).fract()).sin() / (h as f32).powf(self.slope))
                .sum();
            *y += self.gain * swell * tone;
        }
    }
}

fn music(len: usize, rate: f32, random: &mut Random) -> Vec<f32> {
    let mut x = vec![0f32; len];
    // Semitones over A2 of the chords of a progression: each is a bass note and three above.
    let chords: [[i32; 4]; 6] = [
        [0, 12, 16, 19],
        [-4, 12, 15, 20],
        [3, 10, 15, 19],
        [-2, 14, 17, 22],
        [5, 12, 17, 21],
        [7, 14, 17, 23],
    ];
    let hz = |semitones: i32| 110.0 * 2f32.powf(semitones as f32 / 12.0);
    let key = random.below(12) as i32 - 5;
    let beat = 0.35 + 0.3 * random.uniform();
    let (mut at, mut bar) = (0f32, 0usize);
    while ((at * rate) as usize) < len {
        let chord = chords[random.below(chords.len())];
        // What plays changes every two bars.
        let style = (bar / 2 + random.below(2)) % 4;
        let (pad, arpeggio, drums, lead) = (style != 1, style != 0, style >= 2, style == 3);
        let note = |x: &mut [f32], from: f32, n: Note, random: &mut Random| {
            n.play(x, ((at + from) * rate) as usize, rate, random);
        };
        let bass = Note {
            hz: hz(chord[0] + key - 12).max(45.0),
            gain: 0.5,
            attack: 0.01,
            decay: 0.8,
            seconds: 2.0 * beat,
            partials: 6,
            slope: 1.3,
            vibrato: 0.0,
        };
        for half in 0..2 {
            let from = half as f32 * 2.0 * beat;
            note(&mut x, from, Note { ..bass }, random);
        }
        if pad {
            for n in &chord[1..] {
                let voice = Note {
                    hz: hz(n + key),
                    gain: 0.2,
                    attack: 0.15,
                    decay: 5.0,
                    seconds: 4.0 * beat,
                    partials: 10,
                    slope: 1.2,
                    vibrato: 0.002,
                };
                note(&mut x, 0.0, voice, random);
            }
        }
        if arpeggio {
            for eighth in 0..8 {
                let n = chord[1 + random.below(3)] + 12 * random.below(2) as i32;
                let pluck = Note {
                    hz: hz(n + key),
                    gain: 0.35,
                    attack: 0.005,
                    decay: 0.25,
                    seconds: 1.5 * beat,
                    partials: 8,
                    slope: 1.0,
                    vibrato: 0.0,
                };
                note(&mut x, eighth as f32 * beat / 2.0, pluck, random);
            }
        }
        if lead {
            for quarter in 0..4 {
                let sung = Note {
                    hz: hz(chord[1 + random.below(3)] + key + 12),
                    gain: 0.3,
                    attack: 0.06,
                    decay: 2.0,
                    seconds: beat,
                    partials: 12,
                    slope: 1.1,
                    vibrato: 0.008,
                };
                note(&mut x, quarter as f32 * beat, sung, random);
            }
        }
        if drums {
            for eighth in 0..8 {
                let start = ((at + eighth as f32 * beat / 2.0) * rate) as usize;
                let (decay, gain) = if eighth % 4 == 2 {
                    (0.06, 0.5)
                } else {
                    (0.02, 0.2)
                };
                let end = (start + (6.0 * decay * rate) as usize).min(len);
                for (i, y) in x.iter_mut().enumerate().take(end).skip(start) {
                    let t = (i - start) as f32 / rate;
                    *y += gain * (-t / decay).exp() * random.normal();
                }
            }
        }
        at += 4.0 * beat;
        bar += 1;
    }
    x
}
