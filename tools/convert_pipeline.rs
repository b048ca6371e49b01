// SPDX-License-Identifier: MIT

//! CPU time of whole pipelines: `rustaudioconvert` beside `audioconvert`.
//!
//! ```text
//! cargo run --release --example convert_pipeline [part of a row's name]
//! ```
//!
//! A source that writes prepared samples into buffers of a pool, the converter and a capsfilter, a
//! fakesink. Its buffers are the receiver's own, as those of a decoder or a device are, so that
//! audioconvert may work in them. The same pipeline with a capsfilter alone is taken off. Least of
//! several runs, in us per million input samples; both with 480 and with 4096 frames in a buffer.

use std::sync::Mutex;

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::base_src::CreateSuccess;
use gst_base::subclass::prelude::*;

mod imp {
    use super::*;

    #[derive(Default)]
    pub struct Replay {
        pub replayed: Mutex<Option<Replayed>>,
    }

    /// What is handed out, and how often.
    pub struct Replayed {
        pub data: Vec<u8>,
        pub caps: gst::Caps,
        pub pool: gst::BufferPool,
        pub left: u64,
    }

    impl Replayed {
        pub fn new(data: Vec<u8>, caps: gst::Caps, left: u64) -> Self {
            let pool = gst::BufferPool::new();
            let mut config = pool.config();
            config.set_params(Some(&caps), data.len() as u32, 4, 0);
            pool.set_config(config).unwrap();
            pool.set_active(true).unwrap();
            Self {
                data,
                caps,
                pool,
                left,
            }
        }
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Replay {
        const NAME: &'static str = "RustAudioReplay";
        type Type = super::Replay;
        type ParentType = gst_base::PushSrc;
    }

    impl ObjectImpl for Replay {
        fn constructed(&self) {
            self.parent_constructed();
            self.obj().set_format(gst::Format::Time);
        }
    }
    impl GstObjectImpl for Replay {}
    impl ElementImpl for Replay {
        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: std::sync::LazyLock<Vec<gst::PadTemplate>> =
                std::sync::LazyLock::new(|| {
                    let any = gst::Caps::new_any();
                    let (src, always) = (gst::PadDirection::Src, gst::PadPresence::Always);
                    vec![gst::PadTemplate::new("src", src, always, &any).unwrap()]
                });
            &TEMPLATES
        }
    }
    impl BaseSrcImpl for Replay {
        fn caps(&self, _filter: Option<&gst::Caps>) -> Option<gst::Caps> {
            let replayed = self.replayed.lock().unwrap();
            replayed.as_ref().map(|r| r.caps.clone())
        }
    }
    impl PushSrcImpl for Replay {
        fn create(&self, _: Option<&mut gst::BufferRef>) -> Result<CreateSuccess, gst::FlowError> {
            match &mut *self.replayed.lock().unwrap() {
                Some(r) if r.left > 0 => {
                    r.left -= 1;
                    let mut buffer = r.pool.acquire_buffer(None)?;
                    let written = buffer.make_mut().copy_from_slice(0, &r.data);
                    assert_eq!(written, Ok(()));
                    Ok(CreateSuccess::NewBuffer(buffer))
                }
                _ => Err(gst::FlowError::Eos),
            }
        }
    }
}

glib::wrapper! {
    pub struct Replay(ObjectSubclass<imp::Replay>)
        @extends gst_base::PushSrc, gst_base::BaseSrc, gst::Element, gst::Object;
}

const ROWS: [(&str, &str, &str, &str); 17] = [
    ("S16>F32 stereo", "S16LE,channels=2", "F32LE,channels=2", ""),
    (
        "F32>S16 no dither",
        "F32LE,channels=2",
        "S16LE,channels=2",
        "dithering=none",
    ),
    ("F32>S16 tpdf", "F32LE,channels=2", "S16LE,channels=2", ""),
    (
        "F32>S16 tpdf, high shaping",
        "F32LE,channels=2",
        "S16LE,channels=2",
        "noise-shaping=high",
    ),
    ("S24>F32", "S24LE,channels=2", "F32LE,channels=2", ""),
    ("F32>S24", "F32LE,channels=2", "S24LE,channels=2", ""),
    ("S32>F32", "S32LE,channels=2", "F32LE,channels=2", ""),
    ("S16>S32", "S16LE,channels=2", "S32LE,channels=2", ""),
    ("F64>F32", "F64LE,channels=2", "F32LE,channels=2", ""),
    ("U8>F32 stereo", "U8,channels=2", "F32LE,channels=2", ""),
    (
        "F32 stereo>mono",
        "F32LE,channels=2",
        "F32LE,channels=1",
        "",
    ),
    (
        "S16 stereo>F32 mono",
        "S16LE,channels=2",
        "F32LE,channels=1",
        "",
    ),
    (
        "S16 stereo>S16 mono",
        "S16LE,channels=2",
        "S16LE,channels=1",
        "",
    ),
    (
        "S16 mono>S16 stereo",
        "S16LE,channels=1",
        "S16LE,channels=2",
        "",
    ),
    (
        "F32 5.1>stereo",
        "F32LE,channels=6,channel-mask=(bitmask)0x3f",
        "F32LE,channels=2",
        "",
    ),
    (
        "S16 5.1>S16 stereo",
        "S16LE,channels=6,channel-mask=(bitmask)0x3f",
        "S16LE,channels=2",
        "",
    ),
    ("S16BE>S16LE", "S16BE,channels=2", "S16LE,channels=2", ""),
];

fn cpu() -> f64 {
    use nix::sys::resource::{UsageWho, getrusage};
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    let seconds = |t: nix::sys::time::TimeVal| t.tv_sec() as f64 + t.tv_usec() as f64 * 1e-6;
    seconds(usage.user_time()) + seconds(usage.system_time())
}

fn caps(format: &str) -> String {
    format!("audio/x-raw,rate=48000,layout=interleaved,format={format}")
}

/// CPU seconds of one run; `middle` is the line between source and sink.
fn run(middle: &str, from: &str, frames: usize, buffers: u64) -> f64 {
    let input = caps(from).parse::<gst::Caps>().unwrap();
    let info = gst_audio::AudioInfo::from_caps(&input).unwrap();
    let mut data = vec![0u8; frames * info.bpf() as usize];
    let wave: Vec<f64> = (0..frames * info.channels() as usize)
        .map(|i| 0.5 * (i as f64 * 0.05).sin())
        .collect();
    let format = gstrustaudio::elements::support::format::sample_format(info.format()).unwrap();
    gstrustaudio::dsp::convert::Pack::<f64>::new(format).run(&wave, &mut data);

    let pipeline = gst::Pipeline::new();
    let src: Replay = glib::Object::new();
    *src.imp().replayed.lock().unwrap() = Some(imp::Replayed::new(data, input, buffers));
    let sink = gst::ElementFactory::make("fakesink").build().unwrap();
    pipeline.add_many([src.upcast_ref(), &sink]).unwrap();
    let middle = gst::parse::bin_from_description(middle, true).unwrap();
    pipeline.add(&middle).unwrap();
    gst::Element::link_many([src.upcast_ref(), middle.upcast_ref(), &sink]).unwrap();
    pipeline.set_state(gst::State::Paused).unwrap();
    pipeline.state(gst::ClockTime::NONE).0.unwrap();
    let bus = pipeline.bus().unwrap();
    // Metrics messages are made, and dropped where an application would look at them.
    bus.set_sync_handler(|_, message| match message.type_() {
        gst::MessageType::Element => gst::BusSyncReply::Drop,
        _ => gst::BusSyncReply::Pass,
    });
    let before = cpu();
    pipeline.set_state(gst::State::Playing).unwrap();
    let end = bus
        .timed_pop_filtered(
            gst::ClockTime::NONE,
            &[gst::MessageType::Eos, gst::MessageType::Error],
        )
        .unwrap();
    let used = cpu() - before;
    assert_eq!(end.type_(), gst::MessageType::Eos, "{end:?}");
    pipeline.set_state(gst::State::Null).unwrap();
    used
}

fn main() {
    gst::init().unwrap();
    gstrustaudio::plugin_register_static().unwrap();
    const RUNS: usize = 5;
    // Rows whose name holds the first argument.
    let wanted = std::env::args().nth(1).unwrap_or_default();
    let rows: Vec<_> = ROWS.iter().filter(|r| r.0.contains(&wanted)).collect();
    for frames in [480, 4096] {
        println!("\n{frames} frames a buffer");
        println!("| conversion | rustaudioconvert | audioconvert | times faster |");
        println!("|---|---|---|---|");
        let mut product = 0.0;
        for (name, from, to, properties) in &rows {
            let channels = from.split("channels=").nth(1).unwrap()[..1]
                .parse::<usize>()
                .unwrap();
            let buffers = 64_000_000 / (frames * channels) as u64;
            let samples = (buffers * (frames * channels) as u64) as f64;
            let mut best = [f64::INFINITY; 3];
            for _ in 0..RUNS {
                for (best, middle) in best
                    .iter_mut()
                    .zip(["", "rustaudioconvert", "audioconvert"])
                {
                    let middle = match middle {
                        "" => "capsfilter".to_string(),
                        element => {
                            format!("{element} {properties} ! capsfilter caps=\"{}\"", caps(to))
                        }
                    };
                    *best = best.min(run(&middle, from, frames, buffers));
                }
            }
            let [none, ours, theirs] = best.map(|s| s * 1e12 / samples);
            let (ours, theirs) = (ours - none, theirs - none);
            product += (theirs / ours).ln();
            println!(
                "| {name} | {ours:.0} | {theirs:.0} | {:.1} |",
                theirs / ours
            );
        }
        println!("geometric mean {:.1}", (product / rows.len() as f64).exp());
    }
}
