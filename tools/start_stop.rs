// SPDX-License-Identifier: MIT

//! Starts and stops pipelines with a Python node again and again: what that leaves behind.
//!
//! `cargo run --release --example start_stop [CYCLES] [inprocess|isolated]` (1000, inprocess). A process of
//! its own, so that memory, file descriptors and child processes are those of the cycles alone. It fails
//! if the second half of them leaves more than 1 kB of memory a cycle, descriptors, a process or a node.

use gst::prelude::*;

type Failure = Box<dyn std::error::Error>;

const NODE: &str = "\
import gc

class LeakProbe:
    def __init__(self): self.big = bytearray(1 << 16)
    def process(self, audio, ctx): self.last = audio

def count(audio, ctx):
    gc.collect()
    ctx.post('alive', n=sum(type(o).__name__ == 'LeakProbe' for o in gc.get_objects()))
";

/// What the process holds.
#[derive(Clone, Copy, Debug)]
struct Held {
    bytes: u64,
    descriptors: usize,
    children: usize,
}

fn held() -> Result<Held, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let kb: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next())
        .ok_or("no VmRSS")?
        .parse()?;
    let mut children = 0;
    for task in std::fs::read_dir("/proc/self/task")? {
        let list = std::fs::read_to_string(task?.path().join("children"))?;
        children += list.split_whitespace().count();
    }
    Ok(Held {
        bytes: kb * 1024,
        descriptors: std::fs::read_dir("/proc/self/fd")?.count(),
        children,
    })
}

/// Plays `node` on `buffers` buffers from start to stop; the number that it posted, if it did.
fn play(node: &str, buffers: u32) -> Result<Option<i64>, Failure> {
    let pipeline = gst::parse::launch(&format!(
        "audiotestsrc num-buffers={buffers} ! pypipelinenode {node} ! fakesink"
    ))?;
    let bus = pipeline.bus().ok_or("no bus")?;
    pipeline.set_state(gst::State::Playing)?;
    let mut posted = None;
    loop {
        let message = bus
            .timed_pop(gst::ClockTime::from_seconds(60))
            .ok_or("the pipeline does not end")?;
        match message.view() {
            gst::MessageView::Eos(_) => break,
            gst::MessageView::Error(e) => return Err(e.error().into()),
            gst::MessageView::Element(e) => {
                if let Some(s) = e.structure().filter(|s| s.name() == "alive") {
                    posted = Some(s.get("n")?);
                }
            }
            _ => {}
        }
    }
    pipeline.set_state(gst::State::Null)?;
    Ok(posted)
}

fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let cycles: u64 = args.next().map_or(Ok(1000), |a| a.parse())?;
    let isolation = match args.next().as_deref() {
        None | Some("inprocess") => "inprocess",
        Some("isolated") => "process",
        Some(other) => return Err(format!("`{other}` is neither inprocess nor isolated").into()),
    };
    gst::init()?;
    gstrustaudio::plugin_register_static()?;
    let path = std::env::temp_dir().join(format!("rustaudio-cycles-{}.py", std::process::id()));
    std::fs::write(&path, NODE)?;
    let module = format!("module={}", path.display());
    let node = format!("{module} class=LeakProbe isolation={isolation}");
    let half = || -> Result<Held, Failure> {
        for _ in 0..cycles / 2 {
            play(&node, 2)?;
        }
        held()
    };
    let (first, second) = (half()?, half()?);
    let alive = play(&format!("{module} function=count"), 1)?;
    std::fs::remove_file(&path)?;

    let grown = second.bytes.saturating_sub(first.bytes);
    println!("after {} cycles: {first:?}", cycles / 2);
    println!("after {cycles} cycles: {second:?}, {alive:?} nodes alive");
    let allowed = (cycles / 2) * 1024 + SLACK;
    if grown > allowed
        || second.descriptors > first.descriptors + PASSING
        || second.children > 0
        || alive != Some(0)
    {
        return Err(format!("something is left: {grown} bytes of {allowed} allowed").into());
    }
    Ok(())
}

/// Pages that come and go with the allocator's arenas.
const SLACK: u64 = 1 << 20;
/// Descriptors of a bus whose thread is about to end.
const PASSING: usize = 4;
