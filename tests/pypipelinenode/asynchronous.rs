// SPDX-License-Identifier: MIT

//! Nodes written as `async def`: an event loop of their own, kept, with cancellation.

use crate::{STEREO, assert_same, common, run_ok};
use gst::prelude::*;

const WAYS: [&str; 2] = ["isolation=inprocess", "isolation=process"];

/// Field `field` of the messages `name`, in order.
fn told<T: for<'a> gst::glib::value::FromValue<'a> + 'static>(
    run: &crate::Run,
    name: &str,
    field: &str,
) -> Vec<T> {
    run.structures(name)
        .iter()
        .map(|s| s.get(field).unwrap())
        .collect()
}

#[test]
fn all_hooks_run_on_one_loop_whose_tasks_live_on_between_calls() {
    for way in WAYS {
        let log = crate::node("").with_extension("log");
        let run = run_ok(
            20,
            &format!(
                "import asyncio\n\
                 class N:\n\
                 \x20   async def output_caps(self, caps):\n\
                 \x20       await asyncio.sleep(0)\n\
                 \x20       return {{'channels': 1}}\n\
                 \x20   async def start(self, info):\n\
                 \x20       self.loop, self.rate = asyncio.get_running_loop(), info.rate\n\
                 \x20       self.came = asyncio.Queue()\n\
                 \x20       self.task = asyncio.create_task(self.tick())\n\
                 \x20   async def tick(self):\n\
                 \x20       n = 0\n\
                 \x20       while True:\n\
                 \x20           await asyncio.sleep(0)\n\
                 \x20           await self.came.put(n)\n\
                 \x20           n += 1\n\
                 \x20           while self.came.qsize(): await asyncio.sleep(0.0005)\n\
                 \x20   async def process(self, audio, ctx):\n\
                 \x20       assert asyncio.get_running_loop() is self.loop\n\
                 \x20       ctx.post('got', n=await self.came.get(), rate=self.rate)\n\
                 \x20       return audio[:, :1]\n\
                 \x20   async def drain(self):\n\
                 \x20       await asyncio.sleep(0)\n\
                 \x20       import numpy as np\n\
                 \x20       return np.full((7, 1), 0.5, 'f4')\n\
                 \x20   async def stop(self):\n\
                 \x20       await asyncio.sleep(0.01)\n\
                 \x20       assert asyncio.get_running_loop() is self.loop and not self.task.done()\n\
                 \x20       open({log:?}, 'a').write('stopped ')\n"
            ),
            &format!("{way} class=N"),
        );
        assert!(run.failures().is_empty(), "{:?}", run.failures());
        assert_eq!(told::<i64>(&run, "got", "n"), (0..20).collect::<Vec<_>>());
        assert_eq!(told::<i64>(&run, "got", "rate")[19], 48_000);
        assert_eq!(run.output.len(), 21);
        let left: Vec<f32> = run.input[3].f32().chunks(2).map(|f| f[0]).collect();
        assert_eq!(run.output[3].f32(), left);
        assert_eq!(run.output[20].f32(), [0.5; 7]);
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "stopped ", "{way}");
    }
}

#[test]
fn functions_generators_and_coroutines_in_disguise_work() {
    for (text, count) in [
        (
            "async def process(audio, ctx):\n    await asyncio.sleep(0)\n    audio *= 0.5\n",
            1,
        ),
        (
            "async def process(audio, ctx):\n    await asyncio.sleep(0)\n    audio *= 0.5\n    return audio\n",
            1,
        ),
        (
            "async def process(audio):\n    await asyncio.sleep(0)\n    return audio * np.float32(0.5)\n",
            1,
        ),
        // Its array is used again.
        (
            "async def process(audio, ctx):\n    \
                 half = np.empty((240, 2), 'f4')\n    \
                 for part in audio[:240], audio[240:]:\n        \
                     await asyncio.sleep(0)\n        \
                     np.multiply(part, 0.5, out=half)\n        \
                     yield half\n",
            2,
        ),
        (
            "async def half(audio): return [(audio * np.float32(0.5)).tobytes()]\n\
             def process(audio, ctx): return half(audio)\n",
            1,
        ),
        (
            "async def half(audio): audio *= 0.5\n\
             def process(audio, ctx): return half(audio)\n",
            1,
        ),
    ] {
        for way in WAYS {
            let text = format!("import asyncio\nimport numpy as np\n{text}");
            let run = run_ok(5, &text, way);
            assert!(run.failures().is_empty(), "{text}: {:?}", run.failures());
            assert_eq!(run.output.len(), 5 * count, "{text}");
            let all = |s: &[crate::Seen]| s.iter().flat_map(|b| b.f32()).collect::<Vec<_>>();
            let half: Vec<f32> = all(&run.input).iter().map(|x| x * 0.5).collect();
            assert!(all(&run.output) == half, "{way} {text}");
            assert_eq!(run.output[0].pts, run.input[0].pts);
        }
    }
}

#[test]
fn failures_are_told_and_tried_again_as_those_of_any_node() {
    for way in WAYS {
        let run = run_ok(
            3,
            "import asyncio\n\
             class N:\n\
             \x20   async def process(self, audio, ctx):\n\
             \x20       audio += 1\n\
             \x20       await asyncio.sleep(0)\n\
             \x20       if ctx.attempt < 3: raise TimeoutError('busy')\n\
             \x20       if ctx.pts: raise SystemExit(3)\n",
            &format!("{way} class=N"),
        );
        let classes: Vec<String> = told(&run, "pypipelinenode-failure", "exception");
        let busy = ["TimeoutError"; 2];
        let expected = [&busy[..], &busy, &["SystemExit"], &busy, &["SystemExit"]].concat();
        assert_eq!(classes, expected, "{way}");
        let failure = &run.failures()[0];
        assert_eq!(failure.get::<u64>("line"), Ok(6), "{way}");
        let traceback: String = failure.get("traceback").unwrap();
        assert!(
            traceback.contains("in process") && !traceback.contains("rustaudio>"),
            "{traceback}"
        );
        let once: Vec<f32> = run.input[0].f32().iter().map(|x| x + 1.0).collect();
        assert_eq!(run.output[0].f32(), once);
        assert_same(&run.input[1..], &run.output[1..]);
    }
}

#[test]
fn a_call_that_awaits_too_long_is_cancelled_at_timeout() {
    for way in WAYS {
        let run = run_ok(
            3,
            "import asyncio, os\n\
             class N:\n\
             \x20   async def process(self, audio, ctx):\n\
             \x20       ctx.post('called', pid=os.getpid())\n\
             \x20       audio += 1\n\
             \x20       try:\n\
             \x20           if ctx.pts == 10_000_000 and ctx.attempt == 1:\n\
             \x20               await asyncio.sleep(3600)\n\
             \x20       finally:\n\
             \x20           ctx.post('cleaned')\n",
            &format!("{way} class=N timeout=200000000"),
        );
        assert_eq!(run.failures().len(), 1, "{way}: {:?}", run.failures());
        let failure = &run.failures()[0];
        assert_eq!(failure.get::<&str>("exception"), Ok("CallTimeout"), "{way}");
        assert_eq!(failure.get::<bool>("retryable"), Ok(true));
        // Where it waited.
        assert_eq!(failure.get::<u64>("line"), Ok(8), "{way}: {failure}");
        assert_eq!(run.metric::<u64>("num-timeouts"), 1, "{way}");
        assert_eq!(run.metric::<u64>("num-retries"), 1, "{way}");
        assert_eq!(run.structures("cleaned").len(), 4, "{way}");
        // No worker was killed for it.
        let pids: Vec<i64> = told(&run, "called", "pid");
        assert!(
            pids.len() == 4 && pids.iter().all(|p| *p == pids[0]),
            "{pids:?}"
        );
        for (a, b) in run.input.iter().zip(&run.output) {
            let once: Vec<f32> = a.f32().iter().map(|x| x + 1.0).collect();
            assert_eq!(b.f32(), once, "{way}");
        }
    }
}

/// Plays a node that awaits for ever, and its messages up to its first call.
fn waiting(way: &str, text: &str) -> (gst::Pipeline, gst::Bus) {
    let path = crate::node(text);
    let p = common::launch(&format!(
        "audiotestsrc ! pypipelinenode class=N module={} {way} ! fakesink",
        path.display()
    ));
    let bus = p.bus().unwrap();
    p.set_state(gst::State::Playing).unwrap();
    inside(&bus);
    (p, bus)
}

/// The next message of the element is that of a call.
fn inside(bus: &gst::Bus) {
    let message = bus.timed_pop_filtered(common::PATIENCE, &[gst::MessageType::Element]);
    let message = message.expect("a call");
    assert_eq!(message.structure().unwrap().name(), "inside", "{message:?}");
}

#[test]
fn a_flush_cancels_the_call_and_is_no_failure() {
    for way in WAYS {
        let (p, bus) = waiting(
            way,
            "import asyncio\n\
             class N:\n\
             \x20   async def process(self, audio, ctx):\n\
             \x20       ctx.post('inside')\n\
             \x20       await asyncio.Event().wait()\n",
        );
        for _ in 0..3 {
            p.seek_simple(gst::SeekFlags::FLUSH, gst::ClockTime::ZERO)
                .unwrap();
            // Neither a failure nor metrics of one come before it.
            inside(&bus);
        }
        let element = p
            .iterate_elements()
            .into_iter()
            .flatten()
            .find(|e| e.factory().is_some_and(|f| f.name() == "pypipelinenode"));
        let stats: gst::Structure = element.unwrap().property("stats");
        assert_eq!(stats.get::<u64>("num-errors"), Ok(0), "{way}");
        p.set_state(gst::State::Null).unwrap();
    }
}

#[test]
fn a_stop_cancels_the_call_and_what_the_node_left_running() {
    for way in WAYS {
        let log = crate::node("").with_extension("log");
        let _ = std::fs::remove_file(&log);
        let (p, _) = waiting(
            way,
            &format!(
                "import asyncio\n\
                 def note(text):\n\
                 \x20   with open({log:?}, 'a') as log: log.write(text + '\\n')\n\
                 class N:\n\
                 \x20   async def background(self):\n\
                 \x20       try: await asyncio.Event().wait()\n\
                 \x20       finally: note('background')\n\
                 \x20   async def process(self, audio, ctx):\n\
                 \x20       self.task = asyncio.create_task(self.background())\n\
                 \x20       ctx.post('inside')\n\
                 \x20       try: await asyncio.Event().wait()\n\
                 \x20       finally: note('call')\n\
                 \x20   async def stop(self):\n\
                 \x20       await asyncio.sleep(0.05)\n\
                 \x20       note('stop')\n"
            ),
        );
        p.set_state(gst::State::Null).unwrap();
        let said = std::fs::read_to_string(&log).unwrap();
        assert_eq!(said, "call\nstop\nbackground\n", "{way}");
    }
}

#[test]
fn a_call_that_takes_no_notice_is_left_behind() {
    for way in WAYS {
        // Each round would last for ever.
        let (p, _) = waiting(
            way,
            "import asyncio\n\
             class N:\n\
             \x20   async def process(self, audio, ctx):\n\
             \x20       ctx.post('inside')\n\
             \x20       while True:\n\
             \x20           try: await asyncio.Event().wait()\n\
             \x20           except asyncio.CancelledError: pass\n",
        );
        p.set_state(gst::State::Null).unwrap();
    }
}

#[test]
fn a_start_that_raises_after_an_await_is_an_error() {
    for way in WAYS {
        let p = crate::pipeline(
            1,
            STEREO,
            "import asyncio\n\
             class N:\n\
             \x20   async def start(self, info):\n\
             \x20       await asyncio.sleep(0)\n\
             \x20       raise ValueError('bad start')\n\
             \x20   async def process(self, audio, ctx): pass\n",
            &format!("{way} class=N"),
        );
        let (message, _) = crate::refused(&p);
        assert!(
            message.contains(".py:5: ValueError: bad start"),
            "{way}: {message}"
        );
    }
}

#[test]
fn a_reload_keeps_the_loop_and_ends_the_tasks_of_before() {
    for way in WAYS {
        let version = |n: u32| {
            format!(
                "import asyncio\n\
                 class N:\n\
                 \x20   async def start(self, info): self.task = asyncio.create_task(self.wait(), name='{n}')\n\
                 \x20   async def wait(self): await asyncio.Event().wait()\n\
                 \x20   async def process(self, audio, ctx):\n\
                 \x20       names = [t.get_name() for t in asyncio.all_tasks()]\n\
                 \x20       ctx.post('got', tasks=' '.join(sorted(n for n in names if n.isdigit())))\n"
            )
        };
        let mut rig = crate::Rig::new(&version(1), &format!("{way} class=N reload=true"), STEREO);
        rig.push(0, 0.0).unwrap();
        let module: String = rig.element.property("module");
        std::fs::write(&module, version(22)).unwrap();
        rig.push(1, 0.0).unwrap();
        let got: Vec<String> = rig
            .structures("got")
            .iter()
            .map(|s| s.get("tasks").unwrap())
            .collect();
        assert_eq!(got, ["1", "22"], "{way}");
    }
}
