// SPDX-License-Identifier: MIT

//! What a push of 10 ms costs where a media server has it: many streams in turn, caches cold.
//!
//! `cargo run --release --example cold_streams [STREAMS] [PART OF A PLACE'S NAME]` makes 100 streams of each kind of
//! elements in one thread and pushes a buffer into each in turn, timing every push by itself: with nothing
//! in between (`hot` is one stream, `warm` all of them), and `cold`, with the second-level cache and the TLB
//! emptied before each. That is what live pipelines show, without their noise. Kinds take turns in blocks of rounds,
//! of which the first do not count; of the rest the slowest 2 % are left out, which is what the machine did
//! meanwhile, and the block of the least mean counts. `identity` in the same place is what GStreamer itself takes. kB are those that a
//! further stream takes from the heap, all of its elements with what GStreamer keeps for them.
//!
//! `--touched` has each kind counted by valgrind's callgrind instead (it knows no AVX-512): instructions, and the
//! lines of 64 bytes and pages of 4096 that a push touches, of code and of data.

use std::process::Command;
use std::time::Instant;

use gst::prelude::*;

type Failure = Box<dyn std::error::Error>;

/// One way through a place: name, elements, and the format that goes in and comes out (rate, channels).
struct Kind {
    name: &'static str,
    elements: &'static str,
    input: Format,
    output: Format,
}

type Format = (&'static str, i32, i32);

const S16: Format = ("S16LE", 48_000, 2);
/// What detectors hear.
const HEARD: Format = ("F32LE", 16_000, 1);
const WEBRTC: &str = "webrtcdsp echo-cancel=false noise-suppression=false gain-control=false \
                      high-pass-filter=false voice-detection=true";

const fn kind(name: &'static str, elements: &'static str, input: Format, output: Format) -> Kind {
    Kind {
        name,
        elements,
        input,
        output,
    }
}

const fn detect(detector: &'static str) -> Kind {
    kind(detector, detector, HEARD, HEARD)
}

/// Conversion and resampling to what a detector hears, and that.
macro_rules! ours {
    ($detector:literal) => {
        concat!(
            "rustaudioconvert ! capsfilter caps=audio/x-raw,format=F32LE,channels=1 ! rustresample \
             ! capsfilter caps=audio/x-raw,rate=16000 ! ",
            $detector
        )
    };
}

/// What stands in a place: `identity` first, GStreamer's own last.
const PLACES: [(&str, &[Kind]); 6] = [
    (
        "convert, S16 stereo to F32 mono",
        &[
            kind("identity", "identity", S16, S16),
            kind(
                "rustaudioconvert",
                "rustaudioconvert",
                S16,
                ("F32LE", 48_000, 1),
            ),
            kind("audioconvert", "audioconvert", S16, ("F32LE", 48_000, 1)),
        ],
    ),
    (
        "convert, S16 stereo to mono",
        &[
            kind("identity", "identity", S16, S16),
            kind(
                "rustaudioconvert",
                "rustaudioconvert",
                S16,
                ("S16LE", 48_000, 1),
            ),
            kind("audioconvert", "audioconvert", S16, ("S16LE", 48_000, 1)),
        ],
    ),
    (
        "resample, F32 mono, 48 to 16 kHz",
        &[
            kind(
                "identity",
                "identity",
                ("F32LE", 48_000, 1),
                ("F32LE", 48_000, 1),
            ),
            kind(
                "rustresample",
                "rustresample",
                ("F32LE", 48_000, 1),
                ("F32LE", 16_000, 1),
            ),
            kind(
                "audioresample",
                "audioresample",
                ("F32LE", 48_000, 1),
                ("F32LE", 16_000, 1),
            ),
        ],
    ),
    (
        "resample, S16 mono, 48 to 16 kHz",
        &[
            kind(
                "identity",
                "identity",
                ("S16LE", 48_000, 1),
                ("S16LE", 48_000, 1),
            ),
            kind(
                "rustresample",
                "rustresample",
                ("S16LE", 48_000, 1),
                ("S16LE", 16_000, 1),
            ),
            kind(
                "audioresample",
                "audioresample",
                ("S16LE", 48_000, 1),
                ("S16LE", 16_000, 1),
            ),
        ],
    ),
    (
        "detect, mono, 16 kHz",
        &[
            kind(
                "identity",
                "identity",
                ("S16LE", 16_000, 1),
                ("S16LE", 16_000, 1),
            ),
            detect("rustvad detector=spectral"),
            detect("rustvad detector=silero"),
            detect("rustvad"),
            kind(
                "webrtcdsp",
                WEBRTC,
                ("S16LE", 16_000, 1),
                ("S16LE", 16_000, 1),
            ),
        ],
    ),
    (
        "all three, S16 stereo",
        &[
            kind(
                "identity, three times",
                "identity ! capsfilter ! identity ! capsfilter ! identity",
                S16,
                S16,
            ),
            kind(
                "ours, detector=spectral",
                ours!("rustvad detector=spectral"),
                S16,
                HEARD,
            ),
            kind(
                "ours, detector=silero",
                ours!("rustvad detector=silero"),
                S16,
                HEARD,
            ),
            kind("ours", ours!("rustvad"), S16, HEARD),
            kind(
                "stock, webrtcdsp",
                "audioconvert ! capsfilter caps=audio/x-raw,format=S16LE,channels=1 ! audioresample \
                 ! capsfilter caps=audio/x-raw,rate=16000 ! webrtcdsp echo-cancel=false \
                 noise-suppression=false gain-control=false high-pass-filter=false voice-detection=true",
                S16,
                ("S16LE", 16_000, 1),
            ),
        ],
    ),
];

fn caps((format, rate, channels): Format) -> Result<gst::Caps, Failure> {
    let info = gst_audio::AudioInfo::builder(
        gst_audio::AudioFormat::from_string(format),
        rate.cast_unsigned(),
        channels.cast_unsigned(),
    );
    Ok(info.build()?.to_caps()?)
}

/// Elements between a pad to push into and one that lets go of what comes.
struct Stream {
    source: gst::Pad,
    elements: Vec<gst::Element>,
    /// Kept, as nothing else keeps it.
    _sink: gst::Pad,
    /// 10 ms of sound, and how many buffers were pushed.
    sound: gst::Buffer,
    pushed: u64,
}

impl Stream {
    fn new(kind: &Kind, bus: &gst::Bus) -> Result<Self, Failure> {
        let input = caps(kind.input)?;
        let source = gst::Pad::builder(gst::PadDirection::Src).build();
        let sink = gst::Pad::builder(gst::PadDirection::Sink)
            .chain_function(|_, _, _| Ok(gst::FlowSuccess::Ok))
            .event_function(|_, _, _| true)
            .query_function({
                let output = caps(kind.output)?;
                move |_, _, query| answer(query, &output)
            })
            .build();
        let link = |from: &gst::Pad, to: &gst::Pad| from.link_full(to, gst::PadLinkCheck::empty());
        let mut last = source.clone();
        let mut elements = Vec::new();
        for part in kind.elements.split(" ! ") {
            let element = gst::parse::launch(part)?;
            element.set_bus(Some(bus));
            let pad = |name| element.static_pad(name).ok_or("an element of two pads");
            link(&last, &pad("sink")?)?;
            last = pad("src")?;
            elements.push(element);
        }
        link(&last, &sink)?;
        for pad in [&source, &sink] {
            pad.set_active(true)?;
        }
        for element in elements.iter().rev() {
            element.set_state(gst::State::Playing)?;
        }
        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        let begins = [
            gst::event::StreamStart::new("stream"),
            gst::event::Caps::new(&input),
            gst::event::Segment::new(&segment),
        ];
        for event in begins {
            if !source.push_event(event) {
                return Err(format!("{}: refuses to begin", kind.name).into());
            }
        }
        Ok(Self {
            source,
            elements,
            _sink: sink,
            sound: sound(kind.input)?,
            pushed: 0,
        })
    }

    /// The next buffer.
    fn buffer(&mut self) -> Result<gst::Buffer, Failure> {
        let mut buffer = self.sound.copy_deep()?;
        let at = |n| gst::ClockTime::from_mseconds(10 * n);
        let b = buffer.make_mut();
        b.set_pts(at(self.pushed));
        b.set_duration(at(1));
        self.pushed += 1;
        Ok(buffer)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        for element in &self.elements {
            // Nothing is left to be done about one that does not stop.
            let _ = element.set_state(gst::State::Null);
        }
    }
}

/// Answers for caps as a sink that takes `output`.
fn answer(query: &mut gst::QueryRef, output: &gst::Caps) -> bool {
    match query.view_mut() {
        gst::QueryViewMut::Caps(query) => query.set_result(output),
        gst::QueryViewMut::AcceptCaps(query) => {
            let fits = query.caps().can_intersect(output);
            query.set_result(fits);
        }
        _ => return false,
    }
    true
}

/// 10 ms of a saw, loud as speech is.
fn sound((format, rate, channels): Format) -> Result<gst::Buffer, Failure> {
    let name = gst_audio::AudioFormat::from_string(format);
    let format = gstrustaudio::elements::support::format::sample_format(name).ok_or("a format")?;
    let saw = |n: i32| 0.8 * (2.0 * (440.0 * f64::from(n) / f64::from(rate)).fract() - 1.0);
    let samples: Vec<f64> = (0..rate / 100 * channels)
        .map(|n| saw(n / channels))
        .collect();
    let mut bytes = vec![0; samples.len() * format.size()];
    gstrustaudio::dsp::convert::Pack::<f64>::new(format).run(&samples, &mut bytes);
    Ok(gst::Buffer::from_slice(bytes))
}

/// What is timed and counted.
#[inline(never)]
fn counted_push(pad: &gst::Pad, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
    std::hint::black_box(pad.push(buffer))
}

/// Empties the first- and second-level caches and the TLB of this core.
struct Evictor {
    data: Vec<u8>,
    /// Code that jumps from line to line, and returns.
    code: *mut libc::c_void,
}

/// Bytes of data and of code that the evictor goes through: half more than the second-level cache, or, where the
/// simulated caches of valgrind are to be emptied, twice what they hold.
fn evicted(counted: bool) -> usize {
    // SAFETY: only asks.
    let second = unsafe { libc::sysconf(libc::_SC_LEVEL2_CACHE_SIZE) };
    match usize::try_from(second) {
        _ if counted => 2 * 4096 * PAGES,
        Ok(second) if second > 0 => second / 2 * 3,
        _ => 2 << 20,
    }
}

/// Pages to unmap at once, so that Linux empties the whole TLB.
const UNMAPPED: usize = 64 * 4096;

impl Evictor {
    fn new(bytes: usize) -> Result<Self, Failure> {
        Ok(Self {
            data: vec![1; bytes],
            code: jumps(bytes)?,
        })
    }

    fn run(&mut self) {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        if let Some(pages) = map(UNMAPPED, protection, libc::MAP_POPULATE) {
            // SAFETY: mapped just now, and nobody else knows of it.
            unsafe { libc::munmap(pages, UNMAPPED) };
        }
        let mut sum = 0u8;
        for line in self.data.iter().step_by(64) {
            sum = sum.wrapping_add(*line);
        }
        std::hint::black_box(sum);
        if !self.code.is_null() {
            // SAFETY: `jumps` wrote a function there that takes nothing, returns nothing and touches nothing.
            unsafe { std::mem::transmute::<*mut libc::c_void, extern "C" fn()>(self.code)() };
        }
    }
}

/// Pages of `bytes`, or `None` where there is no memory.
fn map(bytes: usize, protection: i32, flags: i32) -> Option<*mut libc::c_void> {
    let flags = flags | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: new pages, at an address that the system chooses.
    let pages = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, flags, -1, 0) };
    (pages != libc::MAP_FAILED).then_some(pages)
}

/// A function with a jump in each of its lines; null where its machine code is not known here.
fn jumps(length: usize) -> Result<*mut libc::c_void, Failure> {
    if !cfg!(target_arch = "x86_64") {
        return Ok(std::ptr::null_mut());
    }
    let bytes = length + 64;
    let pages = map(bytes, libc::PROT_READ | libc::PROT_WRITE, 0).ok_or("no memory")?;
    // SAFETY: as many bytes were mapped, and nobody else has them.
    let code = unsafe { std::slice::from_raw_parts_mut(pages.cast::<u8>(), bytes) };
    for line in code[..length].chunks_exact_mut(64) {
        // jmp to the next line; ret after the last.
        line[..5].copy_from_slice(&[0xe9, 64 - 5, 0, 0, 0]);
    }
    code[length] = 0xc3;
    // SAFETY: the pages just mapped.
    match unsafe { libc::mprotect(pages, bytes, libc::PROT_READ | libc::PROT_EXEC) } {
        0 => Ok(pages),
        _ => Err("no memory that can be run".into()),
    }
}

/// Bytes of the heap in use.
fn heap() -> usize {
    // SAFETY: only asks.
    let info = unsafe { libc::mallinfo2() };
    info.uordblks + info.hblkhd
}

/// Streams of one kind, and nanoseconds of their pushes.
struct Timed {
    streams: Vec<Stream>,
    bytes: usize,
    /// The least mean of a block: of one stream, of all of them, of all of them cold.
    least: [f64; 3],
}

/// Rounds of a block, and those that do not count.
const ROUNDS: usize = 12;
const SKIPPED: usize = 2;
const BLOCKS: usize = 5;

impl Timed {
    fn new(kind: &Kind, count: usize, bus: &gst::Bus) -> Result<Self, Failure> {
        let make = || {
            let mut stream = Stream::new(kind, bus)?;
            for _ in 0..5 {
                let buffer = stream.buffer()?;
                stream.source.push(buffer)?;
            }
            Ok::<_, Failure>(stream)
        };
        // What streams share is made by the first.
        let first = make()?;
        let before = heap();
        let mut streams: Vec<_> = (1..count.max(2))
            .map(|_| make())
            .collect::<Result<_, _>>()?;
        let bytes = (heap() - before) / streams.len();
        streams.push(first);
        Ok(Self {
            streams,
            bytes,
            least: [f64::INFINITY; 3],
        })
    }

    fn block(&mut self, evictor: &mut Evictor) -> Result<(), Failure> {
        let all = self.streams.len();
        let ways = [
            (1, 20 * ROUNDS, false),
            (all, ROUNDS, false),
            (all, ROUNDS, true),
        ];
        for (least, (count, rounds, cold)) in self.least.iter_mut().zip(ways) {
            let mut pushes = Vec::with_capacity(count * rounds);
            for round in 0..rounds {
                for stream in &mut self.streams[..count] {
                    let buffer = stream.buffer()?;
                    if cold {
                        evictor.run();
                    }
                    let start = Instant::now();
                    counted_push(&stream.source, buffer)?;
                    let time = start.elapsed().as_nanos();
                    if round >= SKIPPED {
                        pushes.push(time as f64);
                    }
                }
            }
            *least = least.min(mean(pushes));
        }
        Ok(())
    }
}

/// Mean of `pushes` but the slowest 2 %.
fn mean(mut pushes: Vec<f64>) -> f64 {
    pushes.sort_unstable_by(f64::total_cmp);
    let kept = &pushes[..pushes.len() * 98 / 100];
    kept.iter().sum::<f64>() / kept.len() as f64
}

/// Times the kinds of one place and prints their rows.
fn time(place: &str, kinds: &[Kind], count: usize, bus: &gst::Bus) -> Result<(), Failure> {
    let mut evictor = Evictor::new(evicted(false))?;
    let mut timed = Vec::new();
    for kind in kinds {
        match Timed::new(kind, count, bus) {
            Ok(streams) => timed.push((kind, streams)),
            Err(why) => eprintln!("{} is left out: {why}", kind.name),
        }
    }
    for _ in 0..BLOCKS {
        for (_, streams) in &mut timed {
            streams.block(&mut evictor)?;
        }
    }
    let cold = |i: usize| {
        timed
            .get(i)
            .map_or(f64::NAN, |(_, streams)| streams.least[2])
    };
    let (identity, stock) = (cold(0), cold(kinds.len() - 1));
    for (kind, streams) in &timed {
        let [hot, warm, cold] = streams.least;
        let above = cold - identity;
        // Nothing of GStreamer's, where that was left out, and `identity` is above nothing.
        let share = match above / (stock - identity) {
            share if share > 0.0 => format!("{share:.2} | {:.2}", stock / cold),
            _ => "- | -".into(),
        };
        println!(
            "| {place} | {} | {hot:.0} | {warm:.0} | {cold:.0} | {above:.0} | {share} | {:.1} |",
            kind.name,
            streams.bytes as f64 / 1000.0
        );
    }
    Ok(())
}

/// Pushes that are counted.
const COUNTED: u64 = 20;
/// Lines and pages of the caches that count, so many that nothing of a push has to make room for another.
const LINES: usize = 2048;
const PAGES: usize = 512;

/// What valgrind runs: the pushes of one kind, each after the evictor.
fn push_counted(kind: &Kind, bus: &gst::Bus) -> Result<(), Failure> {
    let mut evictor = Evictor::new(evicted(true))?;
    let mut stream = Stream::new(kind, bus)?;
    for _ in 0..5 {
        let buffer = stream.buffer()?;
        stream.source.push(buffer)?;
    }
    for _ in 0..COUNTED {
        let buffer = stream.buffer()?;
        evictor.run();
        counted_push(&stream.source, buffer)?;
    }
    Ok(())
}

/// Instructions, and code, data read and data written for the first time of a push, in units of `unit` bytes, as
/// caches of `units` of them count it that are empty before it.
fn touched(place: usize, kind: usize, units: usize, unit: usize) -> Result<[u64; 4], Failure> {
    let cache = format!("{},16,{unit}", units * unit);
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .args(["--collect-atstart=no", "--toggle-collect=*counted_push*"])
        .args(["--cache-sim=yes", "--LL=16777216,16,4096"])
        .args([format!("--I1={cache}"), format!("--D1={cache}")])
        .arg(std::env::current_exe()?)
        .args(["--counted", &place.to_string(), &kind.to_string()])
        .output()
        .map_err(|e| format!("valgrind: {e} (apt install valgrind)"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let line = |name: &str| {
        let line = text.lines().find_map(|l| l.split_once(name))?.1;
        Some(line.split_whitespace().collect::<Vec<_>>())
    };
    let (Some(events), Some(counts)) = (line("Events    :"), line("Collected :")) else {
        return Err(format!("nothing was counted: {text}").into());
    };
    let find = |name: &str| {
        let at = events.iter().position(|event| *event == name);
        let count = at.and_then(|at| counts.get(at)?.parse::<u64>().ok());
        count
            .map(|count| count / COUNTED)
            .ok_or("an event is missing")
    };
    Ok([find("Ir")?, find("I1mr")?, find("D1mr")?, find("D1mw")?])
}

fn count(at: usize, place: &str, kinds: &[Kind]) -> Result<(), Failure> {
    for (i, kind) in kinds.iter().enumerate() {
        let [instructions, code, read, written] = touched(at, i, LINES, 64)?;
        let [_, code_pages, read_pages, written_pages] = touched(at, i, PAGES, 4096)?;
        println!(
            "| {place} | {} | {instructions} | {code} | {read} | {written} | {code_pages} | {} |",
            kind.name,
            read_pages + written_pages
        );
    }
    Ok(())
}

fn main() -> Result<(), Failure> {
    gst::init()?;
    gstrustaudio::plugin_register_static()?;
    let bus = gst::Bus::new();
    bus.set_flushing(true);
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, place, kind] = &args[..]
        && flag == "--counted"
    {
        let place = PLACES.get(place.parse::<usize>()?).ok_or("no such place")?;
        let kind = place.1.get(kind.parse::<usize>()?).ok_or("no such kind")?;
        return push_counted(kind, &bus);
    }
    let counts = args.iter().any(|a| a == "--touched");
    let streams = args.iter().find_map(|a| a.parse().ok()).unwrap_or(100);
    let part = args
        .iter()
        .find(|a| a.starts_with(|c: char| c.is_alphabetic()));
    let columns: &[_] = match counts {
        true => &[
            "instructions",
            "lines of code",
            "of data read",
            "written",
            "pages of code",
            "of data",
        ],
        false => &[
            "hot",
            "warm",
            "cold",
            "cold, above identity",
            "of stock's",
            "stock's cold over it",
            "kB",
        ],
    };
    println!("| place | elements | {} |", columns.join(" | "));
    println!("|{}", "---|".repeat(columns.len() + 2));
    for (i, (place, kinds)) in PLACES.iter().enumerate() {
        if part.is_some_and(|part| !place.contains(part.as_str())) {
            continue;
        }
        if counts {
            count(i, place, kinds)?;
        } else {
            time(place, kinds, streams, &bus)?;
        }
    }
    Ok(())
}
