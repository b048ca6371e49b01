// SPDX-License-Identifier: MIT

//! PipeWire's `audioconvert`: its plugin, driven as the graph drives it, without a graph.
//!
//! It is set up to take in whatever comes and to give out what that makes at once (`factory.mode=merge`),
//! and told what the processor can do by PipeWire's own `support.cpu`.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::sync::OnceLock;

use super::Converter;
use super::library::Library;

/// `struct spa_interface`.
#[repr(C)]
struct Interface<M> {
    kind: *const c_char,
    version: u32,
    methods: *const M,
    object: *mut c_void,
}

/// `struct spa_node_methods`: those that are used.
#[repr(C)]
struct NodeMethods {
    version: u32,
    to_enum_params: [*const c_void; 4],
    set_param: *const c_void,
    set_io: *const c_void,
    send_command: unsafe extern "C" fn(*mut c_void, *const u64) -> c_int,
    to_port_enum_params: [*const c_void; 3],
    port_set_param: unsafe extern "C" fn(*mut c_void, u32, u32, u32, u32, *const u64) -> c_int,
    port_use_buffers:
        unsafe extern "C" fn(*mut c_void, u32, u32, u32, *mut *mut Buffer, u32) -> c_int,
    port_set_io: unsafe extern "C" fn(*mut c_void, u32, u32, u32, *mut c_void, usize) -> c_int,
    port_reuse_buffer: *const c_void,
    process: unsafe extern "C" fn(*mut c_void) -> c_int,
}

/// `struct spa_handle`.
#[repr(C)]
struct Handle {
    version: u32,
    get_interface: unsafe extern "C" fn(*mut Handle, *const c_char, *mut *mut c_void) -> c_int,
    clear: unsafe extern "C" fn(*mut Handle) -> c_int,
}

/// `struct spa_support`.
#[repr(C)]
struct Support {
    kind: *const c_char,
    data: *mut c_void,
}

/// `struct spa_dict`.
#[repr(C)]
struct Dict {
    flags: u32,
    count: u32,
    items: *const [*const c_char; 2],
}

/// `struct spa_handle_factory`.
#[repr(C)]
struct Factory {
    version: u32,
    name: *const c_char,
    info: *const c_void,
    get_size: unsafe extern "C" fn(*const Factory, *const Dict) -> usize,
    init: unsafe extern "C" fn(
        *const Factory,
        *mut Handle,
        *const Dict,
        *const Support,
        u32,
    ) -> c_int,
}

type Enumerate = unsafe extern "C" fn(*mut *const Factory, *mut u32) -> c_int;

/// `struct spa_chunk`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Chunk {
    offset: u32,
    size: u32,
    stride: i32,
    flags: i32,
}

/// `struct spa_data`.
#[repr(C)]
struct Data {
    kind: u32,
    flags: u32,
    fd: i64,
    map_offset: u32,
    max_size: u32,
    data: *mut c_void,
    chunk: *mut Chunk,
}

/// `struct spa_buffer`.
#[repr(C)]
struct Buffer {
    metas_count: u32,
    datas_count: u32,
    metas: *mut c_void,
    datas: *mut Data,
}

/// `struct spa_io_buffers`.
#[repr(C)]
#[derive(Default)]
struct Exchange {
    status: i32,
    buffer: u32,
}

/// `struct spa_io_rate_match`.
#[repr(C)]
#[derive(Default)]
struct RateMatch {
    delay: u32,
    size: u32,
    rate: f64,
    flags: u32,
    padding: [u32; 7],
}

const HAVE_DATA: i32 = 1 << 1;
const NEED_DATA: i32 = 1 << 0;
const MEMORY: u32 = 1;
/// Readable, writable, and where it lies may change.
const DATA_FLAGS: u32 = 0b111;
const IO_BUFFERS: u32 = 1;
const IO_RATE_MATCH: u32 = 8;
const PARAM_FORMAT: u32 = 4;
const INPUT: u32 = 0;
const OUTPUT: u32 = 1;

/// One side: `enum spa_audio_format`, and `enum spa_audio_channel` of each channel.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    pub format: u32,
    pub rate: u32,
    pub channels: &'a [u32],
}

pub const MONO: &[u32] = &[2];
pub const STEREO: &[u32] = &[3, 4];
/// As GStreamer's mask 0x3f.
pub const FIVE_ONE: &[u32] = &[3, 4, 5, 6, 12, 13];
/// F32 in planes.
pub const F32P: u32 = 0x206;

impl Side<'_> {
    /// `None` where the bench has no name for it.
    pub fn format(name: &str) -> Option<u32> {
        Some(match name {
            "U8" => 0x102,
            "S16LE" => 0x103,
            "S16BE" => 0x104,
            "S32LE" => 0x10b,
            "S24LE" => 0x10f,
            "F32LE" => 0x11b,
            "F64LE" => 0x11d,
            _ => return None,
        })
    }

    fn planes(&self) -> usize {
        if self.format >= 0x200 {
            self.channels.len()
        } else {
            1
        }
    }

    /// `SPA_TYPE_OBJECT_Format`: each property has a key, flags, and a value of a size and a type.
    fn pod(&self) -> Vec<u64> {
        let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        let (id, int, array) = (3, 4, 13);
        // A value of one word and its padding.
        let word = |key: u32, kind: u32, value: u32| [pair(key, 0), pair(4, kind), value.into()];
        let mut body = vec![pair(0x4_0003, PARAM_FORMAT)];
        body.extend(word(1, id, 1));
        body.extend(word(2, id, 1));
        body.extend(word(0x1_0001, id, self.format));
        body.extend(word(0x1_0003, int, self.rate));
        body.extend(word(0x1_0004, int, self.channels.len() as u32));
        let bytes = 8 + 4 * self.channels.len() as u32;
        body.extend([pair(0x1_0005, 0), pair(bytes, array), pair(4, id)]);
        for two in self.channels.chunks(2) {
            body.push(pair(two[0], two.get(1).copied().unwrap_or(0)));
        }
        let mut pod = vec![pair(body.len() as u32 * 8, 15)];
        pod.extend(body);
        pod
    }
}

/// What a port exchanges: one buffer, whose planes are pointed to where the data lie.
struct Port {
    exchange: Exchange,
    chunks: Vec<Chunk>,
    datas: Vec<Data>,
    buffer: Buffer,
}

impl Port {
    fn new(planes: usize, memory: &mut [u64]) -> Box<Self> {
        let mut chunks = vec![Chunk::default(); planes];
        let mut datas: Vec<_> = chunks
            .iter_mut()
            .map(|chunk| Data {
                kind: MEMORY,
                flags: DATA_FLAGS,
                fd: -1,
                map_offset: 0,
                max_size: size_of_val(memory) as u32,
                data: memory.as_mut_ptr().cast(),
                chunk,
            })
            .collect();
        let buffer = Buffer {
            metas_count: 0,
            datas_count: planes as u32,
            metas: std::ptr::null_mut(),
            datas: datas.as_mut_ptr(),
        };
        Box::new(Self {
            exchange: Exchange::default(),
            chunks,
            datas,
            buffer,
        })
    }

    /// Points the planes into `bytes` bytes at `data`.
    fn point(&mut self, data: *mut u8, bytes: usize, full: bool) {
        let plane = bytes / self.datas.len();
        for (i, (to, chunk)) in self.datas.iter_mut().zip(&mut self.chunks).enumerate() {
            to.data = data.wrapping_add(i * plane).cast();
            to.max_size = plane as u32;
            chunk.size = if full { plane as u32 } else { 0 };
        }
        self.exchange.status = if full { HAVE_DATA } else { NEED_DATA };
    }
}

/// A node of the plugin.
pub struct AudioConvert {
    /// Where the node lives: as many bytes as it asks for.
    memory: Vec<u64>,
    node: *const Interface<NodeMethods>,
    ports: [Box<Port>; 2],
    rate_match: Box<RateMatch>,
    rate: u32,
}

/// A factory of one of PipeWire's plugins.
fn factory(plugin: &str, name: &CStr) -> Result<*const Factory, String> {
    let folder = std::env::var("SPA_PLUGIN_DIR")
        .unwrap_or_else(|_| format!("/usr/lib/{}-linux-gnu/spa-0.2", std::env::consts::ARCH));
    let path = CString::new(format!("{folder}/{plugin}.so")).map_err(|e| e.to_string())?;
    let library = Library::open(&[&path], "libspa-0.2-modules")?;
    // SAFETY: the one function that every plugin has; factories stay, as the library does.
    unsafe {
        let enumerate: Enumerate = library.function(c"spa_handle_factory_enum")?;
        let (mut factory, mut index) = (std::ptr::null(), 0);
        while enumerate(&mut factory, &mut index) > 0 {
            if CStr::from_ptr((*factory).name) == name {
                return Ok(factory);
            }
        }
    }
    Err(format!(
        "PipeWire's {plugin} has no {}",
        name.to_string_lossy()
    ))
}

/// Makes what `factory` makes, with `options`, and finds an interface of it.
fn make(
    factory: *const Factory,
    options: &[(&CStr, &CStr)],
    support: &[Support],
    interface: &CStr,
) -> Result<(Vec<u64>, *mut c_void), String> {
    let items: Vec<_> = options
        .iter()
        .map(|(k, v)| [k.as_ptr(), v.as_ptr()])
        .collect();
    let dict = Dict {
        flags: 0,
        count: items.len() as u32,
        items: items.as_ptr(),
    };
    // SAFETY: the factory is one that the plugin gave; memory is as large as it asks for, and all
    // that is passed outlives the calls.
    unsafe {
        let size = ((*factory).get_size)(factory, &dict);
        let mut memory = vec![0u64; size.div_ceil(8)];
        let handle: *mut Handle = memory.as_mut_ptr().cast();
        let count = support.len() as u32;
        let result = ((*factory).init)(factory, handle, &dict, support.as_ptr(), count);
        if result < 0 {
            return Err(format!("PipeWire's plugin does not start (error {result})"));
        }
        let mut found = std::ptr::null_mut();
        let result = ((*handle).get_interface)(handle, interface.as_ptr(), &mut found);
        match result < 0 || found.is_null() {
            true => Err(format!("PipeWire's plugin has no {interface:?}")),
            false => Ok((memory, found)),
        }
    }
}

const CPU: &CStr = c"Spa:Pointer:Interface:CPU";

/// Address of PipeWire's interface that knows the processor, made once.
fn cpu() -> Result<usize, String> {
    static CPU_INTERFACE: OnceLock<Result<usize, String>> = OnceLock::new();
    let made = CPU_INTERFACE.get_or_init(|| {
        let factory = factory("support/libspa-support", c"support.cpu")?;
        let (memory, found) = make(factory, &[], &[], CPU)?;
        // It is asked as long as there are nodes.
        memory.leak();
        Ok(found as usize)
    });
    made.clone()
}

impl AudioConvert {
    /// `options` as in `pw-cli`; why not, where the plugin is missing or refuses.
    pub fn new(from: Side, to: Side, options: &[(&CStr, &CStr)]) -> Result<Self, String> {
        let factory = factory("audioconvert/libspa-audioconvert", c"audio.convert")?;
        let support = [Support {
            kind: CPU.as_ptr(),
            data: cpu()? as *mut c_void,
        }];
        let graph = [
            (c"factory.mode", c"merge"),
            (c"clock.quantum-limit", c"8192"),
        ];
        let options = [options, &graph].concat();
        let (memory, node) = make(factory, &options, &support, c"Spa:Pointer:Interface:Node")?;
        let node: *const Interface<NodeMethods> = node.cast();
        // SAFETY: the interface asked for.
        let (methods, object) = unsafe { (&*(*node).methods, (*node).object) };
        let mut room = vec![0u64; 1 << 12];
        let mut this = Self {
            memory,
            node,
            ports: [from, to].map(|side| Port::new(side.planes(), &mut room)),
            rate_match: Box::default(),
            rate: from.rate,
        };
        let check = |result: c_int, what: &str| match result < 0 {
            true => Err(format!(
                "PipeWire's audioconvert refuses {what} (error {result})"
            )),
            false => Ok(()),
        };
        for (direction, side) in [(INPUT, from), (OUTPUT, to)] {
            let pod = side.pod();
            let port = &mut *this.ports[direction as usize];
            let (exchange, mut buffer) = (&raw mut port.exchange, &raw mut port.buffer);
            let bytes = size_of::<Exchange>();
            // SAFETY: a format as its header describes it; what is exchanged lives as long as the node.
            unsafe {
                let set = methods.port_set_param;
                check(
                    set(object, direction, 0, PARAM_FORMAT, 0, pod.as_ptr()),
                    "a format",
                )?;
                let buffers = &mut buffer;
                let use_buffers = methods.port_use_buffers;
                check(use_buffers(object, direction, 0, 0, buffers, 1), "a buffer")?;
                let set_io = methods.port_set_io;
                let io = set_io(object, direction, 0, IO_BUFFERS, exchange.cast(), bytes);
                check(io, "an exchange of buffers")?;
            }
        }
        let rate_match: *mut RateMatch = &mut *this.rate_match;
        let bytes = size_of::<RateMatch>();
        // `SPA_NODE_COMMAND_Start`.
        let start = [8 | 15 << 32, 0x3_0002 | 2 << 32];
        // SAFETY: as above.
        unsafe {
            // Which port it belongs to depends on the version; without it no delay is told.
            for direction in [INPUT, OUTPUT] {
                let set_io = methods.port_set_io;
                set_io(
                    object,
                    direction,
                    0,
                    IO_RATE_MATCH,
                    rate_match.cast(),
                    bytes,
                );
            }
            check((methods.send_command)(object, start.as_ptr()), "to start")?;
        }
        Ok(this)
    }

    /// Converts all of `input`: bytes made in each plane. Planes lie one after the other.
    pub fn run<I: Copy, O: Copy>(&mut self, input: &[I], output: &mut [O]) -> usize {
        let [from, to] = &mut self.ports;
        from.point(input.as_ptr().cast_mut().cast(), size_of_val(input), true);
        to.point(output.as_mut_ptr().cast(), size_of_val(output), false);
        // SAFETY: the planes are as long as stated; input is only read.
        let status = unsafe { ((*(*self.node).methods).process)((*self.node).object) };
        assert!(status >= 0, "PipeWire's audioconvert: error {status}");
        assert_ne!(from.exchange.status, HAVE_DATA, "some was held back");
        to.chunks[0].size as usize
    }
}

impl Drop for AudioConvert {
    fn drop(&mut self) {
        let handle: *mut Handle = self.memory.as_mut_ptr().cast();
        // SAFETY: made once, cleared once.
        unsafe { ((*handle).clear)(handle) };
    }
}

/// Its resampler: F32 in planes, which pass through the rest of the node as they are.
pub struct PipeWire {
    node: AudioConvert,
    channels: usize,
}

impl PipeWire {
    /// At one of its qualities, 0 to 14.
    pub fn new(rates: (u32, u32), channels: usize, quality: &CStr) -> Result<Self, String> {
        let side = |rate| Side {
            format: F32P,
            rate,
            channels: if channels == 1 { MONO } else { STEREO },
        };
        let options = [(c"resample.quality", quality)];
        Ok(Self {
            node: AudioConvert::new(side(rates.0), side(rates.1), &options)?,
            channels,
        })
    }
}

impl Converter for PipeWire {
    fn process(&mut self, input: &[f32], output: &mut [f32]) -> usize {
        self.node.run(input, output) / size_of::<f32>() * self.channels
    }

    fn latency(&self) -> f64 {
        f64::from(self.node.rate_match.delay) / f64::from(self.node.rate)
    }
}
