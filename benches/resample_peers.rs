// SPDX-License-Identifier: MIT

//! The resampler beside those that others have written, and who wins where at equal quality:
//! `cargo bench --bench resample_peers`.
//!
//! Each peer is the library that this machine has, loaded when the bench runs (what is missing is named and left
//! out), in the layout that it works in; its buffers are made once and begin at a multiple of 64 bytes. Times
//! are CPU time of a thread for one second of audio in chunks of 10 ms, the least of many rounds in which all
//! take turns. Quality is measured by the rig's meter, ours as theirs.
//!
//! Each is held against the fastest setting of ours that is at least as good in edge, signal to noise, aliases or
//! images, and those next to 100 %: `quality` 0 to 10 at its own delay (`q4`), 8 and 10 with the peer's delay as
//! `max-latency` or with any (`q8*`). Where none of them is, against the best that delays no more, with what
//! is worse in brackets. A delay is the worst of those told after chunks.

mod rig;

use std::hint::black_box;

use gstrustaudio::dsp::Level;
use gstrustaudio::dsp::resample::{Resampler, Spec};
use rig::meter::{self, Quality};
use rig::peers::{Gst, GstS16, Own, OwnS16, Quantised, Soxr, free};
use rig::pipewire::PipeWire;
use rig::rubato::Rubato;
use rig::samplerate::{SampleRate, Sinc};
use rig::speex::Speex;
use rig::swresample::Swr;
use rig::zita::Zita;
use rig::{Converter, PAIRS, chunk, cpu, room};

type Rates = (u32, u32);
type Boxed<T> = Box<dyn Converter<T>>;
type Made<T> = Result<Boxed<T>, String>;
type Peer<T> = (&'static str, fn(Rates, usize) -> Made<T>);

/// Rounds of which the fastest counts.
const ROUNDS: usize = 25;

fn boxed<T>(made: Result<impl Converter<T> + 'static, String>) -> Made<T> {
    made.map(|converter| Box::new(converter) as Boxed<T>)
}

/// What is converted.
trait Sample: Copy + Default + 'static {
    const NAME: &'static str;
    const PEERS: &'static [Peer<Self>];
    /// Signal to noise, in dB, beyond which nothing is better: rounding, or the dither of 16 bits.
    const ENOUGH: f64;
    fn nearest(value: f32) -> Self;
    fn own(spec: &Spec) -> Boxed<Self>;
    fn for_meter(converter: Boxed<Self>) -> Boxed<f32>;
}

impl Sample for f32 {
    const NAME: &'static str = "F32";
    const PEERS: &'static [Peer<f32>] = &[
        ("audioresample q4", |r, c| boxed(Ok(Gst::new(r, c, 4)))),
        ("audioresample q10", |r, c| boxed(Ok(Gst::new(r, c, 10)))),
        ("libsoxr HQ", |r, c| boxed(Soxr::new(r, c))),
        ("swresample", |r, c| boxed(Swr::new(r, c, None))),
        ("swresample 64", |r, c| boxed(Swr::new(r, c, Some(64)))),
        ("zita 32", |r, c| boxed(Zita::new(r, c, 32))),
        ("zita 96", |r, c| boxed(Zita::new(r, c, 96))),
        ("speexdsp q3", |r, c| boxed(Speex::new(r, c, 3))),
        ("speexdsp q4", |r, c| boxed(Speex::new(r, c, 4))),
        ("speexdsp q10", |r, c| boxed(Speex::new(r, c, 10))),
        ("libsamplerate fastest", |r, c| {
            boxed(SampleRate::new(r, c, Sinc::Fastest))
        }),
        ("libsamplerate medium", |r, c| {
            boxed(SampleRate::new(r, c, Sinc::Medium))
        }),
        ("PipeWire q4", |r, c| boxed(PipeWire::new(r, c, c"4"))),
        ("PipeWire q10", |r, c| boxed(PipeWire::new(r, c, c"10"))),
        ("rubato Fft", |r, c| boxed(Ok(Rubato::fft(r, c, 360)))),
    ];
    const ENOUGH: f64 = 125.0;

    fn nearest(value: f32) -> f32 {
        value
    }

    fn own(spec: &Spec) -> Boxed<f32> {
        Box::new(Own::new(spec))
    }

    fn for_meter(converter: Boxed<f32>) -> Boxed<f32> {
        converter
    }
}

impl Sample for i16 {
    const NAME: &'static str = "S16";
    const PEERS: &'static [Peer<i16>] = &[
        ("audioresample q4", |r, c| boxed(Ok(GstS16::new(r, c, 4)))),
        ("swresample", |r, c| boxed(Swr::new(r, c, None))),
        ("swresample 64", |r, c| boxed(Swr::new(r, c, Some(64)))),
    ];
    const ENOUGH: f64 = 88.0;

    fn nearest(value: f32) -> i16 {
        (value * 32_767.0) as i16
    }

    fn own(spec: &Spec) -> Boxed<i16> {
        Box::new(OwnS16::new(spec))
    }

    fn for_meter(converter: Boxed<i16>) -> Boxed<f32> {
        Box::new(Quantised(converter))
    }
}

/// One that is measured at one pair of rates.
struct Entry<T> {
    name: String,
    make: Box<dyn Fn(usize) -> Boxed<T>>,
    quality: Quality,
    /// In seconds.
    delay: f64,
    /// Seconds of CPU for one of audio, of one channel and of two.
    time: [f64; 2],
}

impl<T: Sample> Entry<T> {
    fn new(rates: Rates, name: String, make: impl Fn(usize) -> Boxed<T> + 'static) -> Self {
        let quality = meter::measure(rates, &mut || T::for_meter(make(1)));
        // Some work in blocks, and their delay grows until one is full.
        let mut begun = make(1);
        let part = vec![T::default(); chunk(rates.0)];
        let mut output = vec![T::default(); room(1)];
        let delays = (0..100).map(|_| {
            begun.process(&part, &mut output);
            begun.latency()
        });
        let delay = delays.skip(10).fold(0.0, f64::max);
        Self {
            name,
            delay,
            make: Box::new(make),
            quality,
            time: [f64::INFINITY; 2],
        }
    }

    /// In which figures this is worse than `other`, by more than nobody would hear.
    fn worse_than(&self, other: &Self) -> Vec<&'static str> {
        let (ours, theirs) = (&self.quality, &other.quality);
        let worse = |ours: f64, theirs: f64| ours > theirs.max(-T::ENOUGH) + 1.0;
        let figures = [
            ("edge", ours.edge() < theirs.edge() - 0.2),
            ("SNR", worse(-ours.worst_snr(), -theirs.worst_snr())),
            ("alias", worse(ours.worst_alias(), theirs.worst_alias())),
            ("100 %", worse(ours.worst_near(), theirs.worst_near())),
        ];
        let worse = figures.into_iter().filter(|(_, worse)| *worse);
        worse.map(|(name, _)| name).collect()
    }
}

/// The peers and ours at `rates`, and why peers are missing.
fn entries<T: Sample>(rates: Rates) -> (Vec<Entry<T>>, Vec<Entry<T>>, Vec<String>) {
    let (mut peers, mut missing) = (Vec::new(), Vec::new());
    for (name, make) in T::PEERS {
        match make(rates, 1) {
            Ok(_) => {
                let again = move |channels| make(rates, channels).expect("it was there before");
                peers.push(Entry::new(rates, name.to_string(), again));
            }
            Err(why) => missing.push(format!("{name} is left out: {why}")),
        }
    }
    let mut ours = Vec::new();
    let mut own = |name: String, spec: Spec| {
        ours.push(Entry::new(rates, name, move |channels| {
            T::own(&Spec {
                channels,
                ..spec.clone()
            })
        }));
    };
    for quality in 0..=10 {
        let spec = Spec {
            quality,
            ..Spec::new(rates.0, rates.1, 1)
        };
        own(format!("q{quality}"), spec);
    }
    let delays = peers.iter().map(|p| (p.delay * f64::from(rates.0)) as u64);
    let mut seen = Vec::new();
    for quality in [8, 10] {
        for bound in [u64::MAX].into_iter().chain(delays.clone()) {
            let spec = Spec {
                max_latency: Some(bound),
                ..free(rates, 1, quality)
            };
            let resampler = Resampler::<f32>::new(&spec).expect("rates of a table");
            // Below its own delay a quality is lowered.
            let plain = Spec {
                max_latency: None,
                ..spec.clone()
            };
            let least = Resampler::<f32>::new(&plain)
                .expect("the same rates")
                .latency();
            let what = (quality, resampler.kind(), resampler.latency());
            if bound >= least && !seen.contains(&what) {
                seen.push(what);
                own(format!("q{quality}*"), spec);
            }
        }
    }
    (peers, ours, missing)
}

/// Samples in parts that each begin at a multiple of 64 bytes.
struct Parts<T> {
    memory: Vec<T>,
    begin: usize,
    stride: usize,
    length: usize,
}

impl<T: Sample> Parts<T> {
    fn new(count: usize, length: usize) -> Self {
        let stride = length.next_multiple_of(64);
        let memory = vec![T::default(); (count + 1) * stride];
        let begin = memory.as_ptr().align_offset(64);
        Self {
            memory,
            begin,
            stride,
            length,
        }
    }

    fn noise(mut self) -> Self {
        let mut seed = 1u32;
        self.memory.fill_with(|| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            T::nearest((seed >> 8) as f32 / (1 << 23) as f32 - 1.0)
        });
        self
    }

    fn parts(&self) -> impl Iterator<Item = &[T]> {
        let all = self.memory[self.begin..].chunks_exact(self.stride);
        all.map(|part| &part[..self.length])
    }

    fn first(&mut self) -> &mut [T] {
        &mut self.memory[self.begin..][..self.length]
    }
}

fn time<'a, T: Sample>(rates: Rates, entries: impl Iterator<Item = &'a mut Entry<T>>) {
    let mut entries: Vec<_> = entries.collect();
    for channels in [1, 2] {
        let input = Parts::<T>::new(100, chunk(rates.0) * channels).noise();
        let mut output = Parts::<T>::new(1, room(channels));
        let mut running: Vec<_> = entries.iter().map(|e| (e.make)(channels)).collect();
        for round in 0..=ROUNDS {
            for (converter, entry) in running.iter_mut().zip(&mut entries) {
                let start = cpu();
                for part in input.parts() {
                    black_box(converter.process(part, output.first()));
                }
                // The first is for the caches, and for what is made when it is first needed.
                if round > 0 {
                    let best = &mut entry.time[channels - 1];
                    *best = best.min(cpu() - start);
                }
            }
        }
    }
}

fn header(first: &str, columns: impl Iterator<Item = String>) {
    let columns: Vec<_> = columns.collect();
    println!("| {first} | {} |", columns.join(" | "));
    let count = first.matches('|').count() + 1 + columns.len();
    println!("|{}", "---|".repeat(count));
}

fn row(first: String, cells: impl Iterator<Item = String>) {
    println!("| {first} | {} |", cells.collect::<Vec<_>>().join(" | "));
}

/// Of `ours` that delay by no more than `bound` seconds the fastest that is as good as `peer`; where none is, the
/// best there is at that delay.
fn rival<'a, T: Sample>(
    ours: &'a [Entry<T>],
    peer: &Entry<T>,
    channels: usize,
    bound: f64,
) -> Option<&'a Entry<T>> {
    let within = || ours.iter().filter(|own| own.delay <= bound);
    let good = within().filter(|own| own.worse_than(peer).is_empty());
    let fastest = good.min_by(|a, b| a.time[channels - 1].total_cmp(&b.time[channels - 1]));
    fastest.or_else(|| within().max_by(|a, b| a.quality.edge().total_cmp(&b.quality.edge())))
}

fn run<T: Sample>() {
    let mut all = Vec::new();
    for rates in PAIRS {
        let (mut peers, mut ours, missing) = entries::<T>(rates);
        if all.is_empty() {
            missing.iter().for_each(|why| println!("{why}\n"));
        }
        time(rates, peers.iter_mut().chain(&mut ours));
        all.push((rates, peers, ours));
    }
    let Some((_, peers, _)) = all.first() else {
        return;
    };
    let names: Vec<_> = peers.iter().map(|p| p.name.clone()).collect();
    let shown = |ours: &[Entry<T>]| {
        let first = |name: &str| ours.iter().position(|o| o.name == name);
        ["q4", "q8", "q8*"].map(|name| first(name).expect("there is one"))
    };

    println!("{}, us per second of audio\n", T::NAME);
    let own = ["q4", "q8", "q8 free"].map(|n| format!("rustresample {n}"));
    header("rates | ch", own.iter().chain(&names).cloned());
    for ((from, to), peers, ours) in &all {
        for channels in [1, 2] {
            let own = shown(ours).map(|i| &ours[i]);
            let cells = own.into_iter().chain(peers);
            row(
                format!("{from}>{to} | {channels}"),
                cells.map(|e| format!("{:.0}", e.time[channels - 1] * 1e6)),
            );
        }
    }

    println!(
        "\n{}, quality: -1 dB edge in % of the lower Nyquist frequency / worst SNR up to 80 %",
        T::NAME
    );
    println!("/ worst alias or image in dB, from 110 % up / from 100 % up / delay in ms\n");
    header(
        "converter",
        PAIRS.iter().map(|(from, to)| format!("{from}>{to}")),
    );
    for (i, name) in own.iter().enumerate() {
        let cells = all.iter().map(|(_, _, ours)| &ours[shown(ours)[i]]);
        row(
            name.clone(),
            cells.map(|e| meter::cell(&e.quality, e.delay * 1e3)),
        );
    }
    for (i, name) in names.iter().enumerate() {
        let cells = all.iter().map(|(_, peers, _)| &peers[i]);
        row(
            name.clone(),
            cells.map(|e| meter::cell(&e.quality, e.delay * 1e3)),
        );
    }

    println!(
        "\n{}, the peer's time over ours: at no more delay / at any\n",
        T::NAME
    );
    header("rates | ch", names.iter().cloned());
    // For each peer, what its times are over ours, and whether ours is as good: at its delay, and at any.
    let mut ratios = vec![[const { Vec::new() }; 2]; names.len()];
    for (rates, peers, ours) in &all {
        for channels in [1, 2] {
            let cells = peers.iter().zip(&mut ratios).map(|(peer, ratios)| {
                // One input frame: delays are counted in whole ones.
                let own_delay = peer.delay + 1.0 / f64::from(rates.0);
                let cells = [own_delay, f64::INFINITY].into_iter().zip(ratios);
                let cells = cells.map(|(bound, ratios)| {
                    let Some(own) = rival(ours, peer, channels, bound) else {
                        return "-".into();
                    };
                    let ratio = peer.time[channels - 1] / own.time[channels - 1];
                    let worse = own.worse_than(peer);
                    ratios.push((ratio, worse.is_empty()));
                    match &worse[..] {
                        [] => format!("{ratio:.2} {}", own.name),
                        _ => format!("{ratio:.2} {} ({})", own.name, worse.join(", ")),
                    }
                });
                cells.collect::<Vec<_>>().join(" / ")
            });
            row(format!("{}>{} | {channels}", rates.0, rates.1), cells);
        }
    }
    println!("\n{}, in short\n", T::NAME);
    let columns = [
        "at no more delay: mean, least",
        "rows where ours is as good",
        "at any delay: mean, least",
        "rows where ours is as good",
    ];
    header("peer", columns.into_iter().map(String::from));
    for (name, ratios) in names.iter().zip(&ratios) {
        let cells = ratios.iter().flat_map(|ratios: &Vec<(f64, bool)>| {
            let mean = ratios.iter().map(|r| r.0.ln()).sum::<f64>() / ratios.len() as f64;
            let least = ratios.iter().map(|r| r.0).fold(f64::INFINITY, f64::min);
            let good = ratios.iter().filter(|r| r.1).count();
            [
                format!("{:.2}, {least:.2}", mean.exp()),
                format!("{good} of {}", 2 * PAIRS.len()),
            ]
        });
        row(name.clone(), cells);
    }
    println!();
}

fn main() {
    gst::init().unwrap();
    if std::env::args().any(|a| a == "--test") {
        return;
    }
    println!("SIMD level: {:?}\n", Level::best());
    run::<f32>();
    run::<i16>();
}
