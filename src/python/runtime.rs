// SPDX-License-Identifier: MIT

//! The interpreter of this process and the bridge into it, loaded once and never unloaded.

use std::ffi::{CStr, CString, OsStr, c_char, c_int, c_void};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use nix::sys::memfd::{MFdFlags, memfd_create};

use super::abi::{ABI_VERSION, Api, ENTRY, OwnedText, Status, Text};
use super::find::{self, Candidates};

/// The bridge, built by build.rs, compressed (RFC 1951).
static BRIDGE: &[u8] = include_bytes!(env!("RUSTAUDIO_BRIDGE"));

/// Why Python cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LoadError {
    #[error(
        "no Python library found for {origin}; looked for {looked_for}. Install one (Debian: apt \
         install {package}), set python-home, or name the file in {}",
        find::LIBPYTHON_VARIABLE
    )]
    NoLibrary {
        origin: String,
        looked_for: String,
        package: String,
    },
    #[error(
        "{0} leads to no Python: it has neither bin/python3 nor lib/python3.X in it. Name a \
         virtualenv or the prefix of an installation"
    )]
    NoVersion(String),
    #[error("{0}")]
    NoStandardLibrary(String),
    #[error("Python {version} of {origin} does not start: {cause}. {variables}")]
    NotStarted {
        version: String,
        origin: String,
        cause: String,
        variables: String,
    },
    #[error(
        "Python 3.{running} runs in this process already, and {origin} needs Python 3.{needed}; \
         use isolation=process"
    )]
    OtherVersion {
        running: u32,
        needed: u32,
        origin: String,
    },
    #[error(
        "Python {0} is older than 3.10, the oldest that is supported; name another with python-home"
    )]
    TooOld(String),
    #[error("Python {0} is a free-threaded build, which the stable ABI does not cover")]
    FreeThreaded(String),
    #[error("{library} is no usable Python: {cause}")]
    NotPython { library: String, cause: String },
    #[error("the bridge to Python cannot be opened: {0}")]
    Bridge(String),
    #[error(
        "numpy cannot be imported in Python {version} at {prefix}: {cause}. Install it there (pip \
         install numpy; Debian: apt install python3-numpy) or set python-home"
    )]
    NoNumpy {
        version: String,
        prefix: String,
        cause: String,
    },
}

/// Symbols of libpython that are needed before the bridge can be loaded.
struct Library {
    handle: *mut c_void,
}

/// An interpreter that runs, and the bridge loaded into it.
pub struct Runtime {
    api: &'static Api,
    minor: u32,
    /// Full version, prefix, version of numpy.
    pub version: String,
    pub prefix: String,
    pub numpy: String,
    /// The environment that it was loaded for.
    home: Option<PathBuf>,
}

fn last_dl_error() -> String {
    // SAFETY: a string of the linker's, valid until its next call on this thread.
    unsafe {
        let text = libc::dlerror();
        if text.is_null() {
            "unknown cause".into()
        } else {
            CStr::from_ptr(text).to_string_lossy().into_owned()
        }
    }
}

fn open(name: &OsStr, flags: c_int) -> Option<*mut c_void> {
    let name = CString::new(name.as_bytes()).ok()?;
    // SAFETY: a NUL-terminated name; libraries run their constructors, as with any plugin.
    let handle = unsafe { libc::dlopen(name.as_ptr(), flags) };
    (!handle.is_null()).then_some(handle)
}

impl Library {
    fn symbol(&self, name: &CStr) -> Option<*mut c_void> {
        // SAFETY: the handle is open and stays so.
        let found = unsafe { libc::dlsym(self.handle, name.as_ptr()) };
        (!found.is_null()).then_some(found)
    }

    /// The interpreter that this process has already, made visible to all libraries.
    fn loaded() -> Option<Self> {
        let global = Self {
            handle: libc::RTLD_DEFAULT,
        };
        if global.symbol(c"Py_IsInitialized").is_some() {
            return Some(global);
        }
        // Mapped by a plugin or a library of the host, but kept to itself.
        let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
        let path = maps
            .lines()
            .filter_map(|line| line.split_once('/').map(|(_, path)| format!("/{path}")))
            .find(|path| {
                Path::new(path)
                    .file_name()
                    .and_then(OsStr::to_str)
                    .is_some_and(|name| name.starts_with("libpython3.") && name.contains(".so"))
            })?;
        let flags = libc::RTLD_NOW | libc::RTLD_NOLOAD | libc::RTLD_GLOBAL;
        open(OsStr::new(&path), flags).map(|handle| Self { handle })
    }

    /// Loads the first of the candidates that there is.
    fn load(candidates: &Candidates) -> Result<Self, LoadError> {
        let flags = libc::RTLD_NOW | libc::RTLD_GLOBAL;
        candidates
            .libraries
            .iter()
            .find_map(|name| open(OsStr::new(name), flags))
            .map(|handle| Self { handle })
            .ok_or_else(|| LoadError::NoLibrary {
                origin: candidates.origin.clone(),
                looked_for: candidates.libraries.join(", "),
                package: candidates.package(),
            })
    }

    fn function(&self, name: &CStr) -> Result<*mut c_void, LoadError> {
        self.symbol(name).ok_or_else(|| LoadError::NotPython {
            library: "the Python library".into(),
            cause: format!("it has no {}", name.to_string_lossy()),
        })
    }

    /// Version as `sys.version` begins; known before initialisation.
    fn version(&self) -> Result<String, LoadError> {
        type GetVersion = unsafe extern "C" fn() -> *const c_char;
        let f = self.function(c"Py_GetVersion")?;
        // SAFETY: the signature is part of Python's stable ABI; a static string.
        let text = unsafe {
            let get: GetVersion = std::mem::transmute(f);
            CStr::from_ptr(get())
        };
        Ok(text.to_string_lossy().into_owned())
    }

    /// Starts the interpreter, unless it runs, and lets go of the GIL. One that could not be
    /// started stays so: what it has set up until then cannot be taken back.
    fn initialise(&self, wanted: &Candidates, version: &str, minor: u32) -> Result<(), LoadError> {
        static FAILED: OnceLock<LoadError> = OnceLock::new();
        type IsInitialized = unsafe extern "C" fn() -> c_int;
        type SaveThread = unsafe extern "C" fn() -> *mut c_void;
        let is_initialized = self.function(c"Py_IsInitialized")?;
        let save_thread = self.function(c"PyEval_SaveThread")?;
        // SAFETY: the signature is part of Python's stable ABI.
        let is_initialized: IsInitialized = unsafe { std::mem::transmute(is_initialized) };
        // SAFETY: may be called at any time.
        if unsafe { is_initialized() } != 0 {
            return Ok(());
        }
        if let Some(error) = FAILED.get() {
            return Err(error.clone());
        }
        if let Some(text) = find::without_library(wanted, minor) {
            return Err(LoadError::NoStandardLibrary(text));
        }
        let utf8 = utf8_mode();
        if let Some(program) = &wanted.program {
            self.set_program(program, utf8);
        }
        self.start(utf8).map_err(|cause| {
            let error = LoadError::NotStarted {
                version: version.split(' ').next().unwrap_or(version).into(),
                origin: wanted.origin.clone(),
                cause,
                variables: find::variables(),
            };
            FAILED.get_or_init(|| error).clone()
        })?;
        // SAFETY: as above. The GIL, which the initialisation has taken on this thread, is released
        // for whichever thread comes first.
        unsafe {
            let save_thread: SaveThread = std::mem::transmute(save_thread);
            save_thread();
        }
        Ok(())
    }

    /// Tells Python what executable to take itself for.
    fn set_program(&self, program: &Path, utf8: bool) {
        type DecodeLocale = unsafe extern "C" fn(*const c_char, *mut usize) -> *mut libc::wchar_t;
        type SetProgramName = unsafe extern "C" fn(*const libc::wchar_t);
        // Gone in Python 3.15; the environment's site directory is added later anyway.
        let Some(set) = self.symbol(c"Py_SetProgramName") else {
            return;
        };
        let text = program.to_str().filter(|_| utf8).map(|text| {
            let wide = text.chars().map(|c| c as libc::wchar_t);
            wide.chain([0]).collect::<Vec<_>>()
        });
        // SAFETY: signatures of Python's stable ABI; the text is never freed, as Python asks.
        unsafe {
            let set: SetProgramName = std::mem::transmute(set);
            if let Some(text) = text {
                set(text.leak().as_ptr());
            } else if let Ok(name) = CString::new(program.as_os_str().as_bytes())
                && let Some(decode) = self.symbol(c"Py_DecodeLocale")
            {
                let decode: DecodeLocale = std::mem::transmute(decode);
                let wide = decode(name.as_ptr(), std::ptr::null_mut());
                if !wide.is_null() {
                    set(wide);
                }
            }
        }
    }

    /// Starts the interpreter as `python3` itself does, but without handlers of signals (Ctrl-C
    /// belongs to the host), and in UTF-8 mode with the host's locale left alone. What keeps it
    /// from starting is an error; `Py_InitializeEx` would end the process.
    fn start(&self, utf8: bool) -> Result<(), String> {
        type Init = unsafe extern "C" fn(*mut Config);
        type Start = unsafe extern "C" fn(*const Config) -> Outcome;
        type InitializeEx = unsafe extern "C" fn(c_int);
        let symbol = |name| self.symbol(name).ok_or_else(|| no_symbol(name));
        let mut pre = Config([0; 1024]);
        let mut config = Config([0; 1024]);
        // SAFETY: signatures of CPython's initconfig.h since 3.8. Both structures are larger here
        // than any version has them. Only their heads are written to, and only where they hold
        // what CPython's own initialisation puts there in the layout that is known.
        unsafe {
            let fill: Init = std::mem::transmute(symbol(c"PyPreConfig_InitPythonConfig")?);
            fill(&mut pre);
            let fill: Init = std::mem::transmute(symbol(c"PyConfig_InitPythonConfig")?);
            fill(&mut config);
            if !pre.0.starts_with(&PRE_HEAD) || !config.0.starts_with(&CONFIG_HEAD) {
                // A version that is not known: started as any can be.
                let start: InitializeEx = std::mem::transmute(symbol(c"Py_InitializeEx")?);
                start(0);
                return Ok(());
            }
            pre.0[PRE_PARSE_ARGV] = 0;
            pre.0[PRE_CONFIGURE_LOCALE] = c_int::from(!utf8);
            pre.0[PRE_COERCE_C_LOCALE] = 0;
            pre.0[PRE_COERCE_C_LOCALE_WARN] = 0;
            pre.0[PRE_UTF8_MODE] = c_int::from(utf8);
            let start: Start = std::mem::transmute(symbol(c"Py_PreInitialize")?);
            start(&pre).result()?;
            // Reads what the first has settled.
            fill(&mut config);
            config.0[CONFIG_SIGNAL_HANDLERS] = 0;
            let start: Start = std::mem::transmute(symbol(c"Py_InitializeFromConfig")?);
            let clear: Init = std::mem::transmute(symbol(c"PyConfig_Clear")?);
            let outcome = start(&config);
            clear(&mut config);
            outcome.result()
        }
    }
}

/// Room for CPython's `PyPreConfig` and `PyConfig`, which begin with ints. Neither is part of the
/// stable ABI; these parts are the same in 3.10 to 3.14.
#[repr(C, align(16))]
struct Config([c_int; 1024]);

/// What they begin with as they are initialised.
const PRE_HEAD: [c_int; 8] = [2, 1, 0, 1, 1, -1, -1, -1];
const CONFIG_HEAD: [c_int; 5] = [2, 0, 1, -1, 1];

const PRE_PARSE_ARGV: usize = 1;
const PRE_CONFIGURE_LOCALE: usize = 4;
const PRE_COERCE_C_LOCALE: usize = 5;
const PRE_COERCE_C_LOCALE_WARN: usize = 6;
const PRE_UTF8_MODE: usize = 7;
const CONFIG_SIGNAL_HANDLERS: usize = 4;

/// CPython's `PyStatus`.
#[repr(C)]
struct Outcome {
    /// 0 done, 1 error, 2 exit.
    kind: c_int,
    function: *const c_char,
    message: *const c_char,
    exit_code: c_int,
}

impl Outcome {
    fn result(&self) -> Result<(), String> {
        match self.kind {
            0 => Ok(()),
            1 if !self.message.is_null() => {
                // SAFETY: a static string of CPython's.
                let text = unsafe { CStr::from_ptr(self.message) };
                Err(text.to_string_lossy().into_owned())
            }
            _ => Err(format!("it exits with {}", self.exit_code)),
        }
    }
}

fn no_symbol(name: &CStr) -> String {
    format!("it has no {}", name.to_string_lossy())
}

/// Whether text is UTF-8 in a Python of our own: as in `python3`, which takes the C locale of an
/// empty environment so, and where the locale says so anyway.
fn utf8_mode() -> bool {
    match std::env::var("PYTHONUTF8").as_deref() {
        Ok("1") => true,
        Ok("0") => false,
        _ => matches!(
            codeset().as_str(),
            "UTF-8" | "ANSI_X3.4-1968" | "US-ASCII" | ""
        ),
    }
}

/// Encoding of text in the environment's locale, which need not be the one that the host has set;
/// empty where the system does not have that locale.
fn codeset() -> String {
    // SAFETY: a locale object of our own, which is set nowhere, and a string that lives as long.
    unsafe {
        let locale = libc::newlocale(libc::LC_CTYPE_MASK, c"".as_ptr(), std::ptr::null_mut());
        if locale.is_null() {
            return String::new();
        }
        let text = CStr::from_ptr(libc::nl_langinfo_l(libc::CODESET, locale));
        let text = text.to_string_lossy().into_owned();
        libc::freelocale(locale);
        text
    }
}

/// Opens the embedded library: from memory, or from a private file where there is no memfd.
fn open_bridge() -> Result<&'static Api, LoadError> {
    let bridge = miniz_oxide::inflate::decompress_to_vec(BRIDGE)
        .map_err(|e| LoadError::Bridge(e.to_string()))?;
    let handle = open_from_memory(&bridge).or_else(|_| open_from_file(&bridge))?;
    let library = Library { handle };
    let name = CString::new(ENTRY).map_err(|e| LoadError::Bridge(e.to_string()))?;
    let entry = library
        .symbol(&name)
        .ok_or_else(|| LoadError::Bridge("it has no entry".into()))?;
    // SAFETY: build.rs built the library from the same definition of the ABI.
    let api = unsafe {
        let entry: extern "C" fn() -> *const Api = std::mem::transmute(entry);
        &*entry()
    };
    if api.version != ABI_VERSION {
        return Err(LoadError::Bridge(format!(
            "it speaks version {}, the plugin {ABI_VERSION}",
            api.version
        )));
    }
    Ok(api)
}

const BRIDGE_FLAGS: c_int = libc::RTLD_NOW | libc::RTLD_LOCAL;

fn open_from_memory(bridge: &[u8]) -> Result<*mut c_void, LoadError> {
    let fault = |e: std::io::Error| LoadError::Bridge(e.to_string());
    let fd = memfd_create(c"rustaudio-bridge", MFdFlags::MFD_CLOEXEC);
    let mut file = std::fs::File::from(fd.map_err(|e| fault(e.into()))?);
    std::io::Write::write_all(&mut file, bridge).map_err(fault)?;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    open(OsStr::new(&path), BRIDGE_FLAGS).ok_or_else(|| LoadError::Bridge(last_dl_error()))
}

fn open_from_file(bridge: &[u8]) -> Result<*mut c_void, LoadError> {
    use std::os::unix::fs::OpenOptionsExt;
    let name = format!("rustaudio-bridge-{}", std::process::id());
    let path = std::env::temp_dir().join(name);
    let fault = |e: std::io::Error| LoadError::Bridge(format!("{}: {e}", path.display()));
    // Never a file that somebody else put there.
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o700)
        .open(&path)
        .map_err(fault)?;
    let opened = std::io::Write::write_all(&mut file, bridge)
        .map_err(fault)
        .and_then(|()| {
            open(path.as_os_str(), BRIDGE_FLAGS).ok_or_else(|| LoadError::Bridge(last_dl_error()))
        });
    let _ = std::fs::remove_file(&path);
    opened
}

fn parse_minor(version: &str) -> Option<u32> {
    let mut parts = version.split(['.', ' ']);
    (parts.next()? == "3").then_some(())?;
    parts.next()?.parse().ok()
}

impl Runtime {
    /// The runtime of this process, loaded on the first call. A failure is not kept: another
    /// element may name another home.
    pub fn get(python_home: Option<&str>) -> Result<&'static Self, LoadError> {
        static READY: OnceLock<Runtime> = OnceLock::new();
        static LOADING: Mutex<()> = Mutex::new(());
        let wanted = find::candidates(python_home);
        if READY.get().is_none() {
            let _one = LOADING.lock().unwrap_or_else(|e| e.into_inner());
            if READY.get().is_none() {
                let runtime = Self::load(&wanted)?;
                let _ = READY.set(runtime);
            }
        }
        let runtime = READY
            .get()
            .ok_or_else(|| LoadError::Bridge("it got lost".into()))?;
        match wanted.minor {
            Some(needed) if needed != runtime.minor => Err(LoadError::OtherVersion {
                running: runtime.minor,
                needed,
                origin: wanted.origin,
            }),
            _ => Ok(runtime),
        }
    }

    fn load(wanted: &Candidates) -> Result<Self, LoadError> {
        let library = match Library::loaded() {
            Some(library) => library,
            None if wanted.minor.is_some_and(|m| m < *find::MINORS.start()) => {
                return Err(LoadError::TooOld(wanted.version()));
            }
            None if wanted.libraries.is_empty() => {
                return Err(LoadError::NoVersion(wanted.origin.clone()));
            }
            None => Library::load(wanted)?,
        };
        let version = library.version()?;
        let minor = parse_minor(&version).unwrap_or(0);
        if minor < *find::MINORS.start() {
            return Err(LoadError::TooOld(version));
        }
        if version.contains("free-threading") {
            return Err(LoadError::FreeThreaded(version));
        }
        if let Some(needed) = wanted.minor.filter(|needed| *needed != minor) {
            return Err(LoadError::OtherVersion {
                running: minor,
                needed,
                origin: wanted.origin.clone(),
            });
        }
        library.initialise(wanted, &version, minor)?;
        let api = open_bridge()?;
        // The host's own interpreter does not know the environment that was asked for.
        let site: Vec<PathBuf> = wanted
            .minor
            .and(wanted.program.as_deref())
            .and_then(|program| program.parent()?.parent())
            .and_then(|home| find::site_packages(home, minor))
            .into_iter()
            .collect();
        let config = serde_json::json!({ "site": site });
        let about = Self::invoke(api, |answer| {
            (api.init)(Text::new(&config.to_string()), answer)
        })
        .map_err(|(_, text)| LoadError::Bridge(super::Failure::from_json(&text).to_string()))?;
        let about: serde_json::Value = serde_json::from_str(&about).unwrap_or_default();
        let text = |key: &str| about[key].as_str().unwrap_or_default().to_owned();
        if about["numpy"].is_null() {
            return Err(LoadError::NoNumpy {
                version: text("version"),
                prefix: text("prefix"),
                cause: text("numpy-error"),
            });
        }
        let runtime = Self {
            api,
            minor,
            version: text("version"),
            prefix: text("prefix"),
            numpy: text("numpy"),
            home: wanted.home.clone(),
        };
        tracing::info!(
            target: "pypipelinenode",
            version = %runtime.version, prefix = %runtime.prefix, numpy = %runtime.numpy,
            "Python is ready"
        );
        Ok(runtime)
    }

    /// Says so where `python_home` is another environment than the one that this process uses:
    /// there is one interpreter, with one set of modules, and the first element decided on it.
    pub fn unheeded(&self, python_home: Option<&str>) -> Option<String> {
        let wanted = find::candidates(python_home).home?;
        let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let used = self.home.as_deref().unwrap_or(Path::new(&self.prefix));
        if [used, Path::new(&self.prefix)]
            .iter()
            .any(|p| real(p) == real(&wanted))
        {
            return None;
        }
        Some(format!(
            "python-home {} is not used: this process runs Python with the modules of {} already; \
             isolation=process gives the node an interpreter of its own",
            wanted.display(),
            used.display()
        ))
    }

    pub(super) fn api(&self) -> &'static Api {
        self.api
    }

    /// Runs a function that answers with a text.
    pub(super) fn invoke(
        api: &Api,
        work: impl FnOnce(*mut OwnedText) -> Status,
    ) -> Result<String, (Status, String)> {
        let mut answer = OwnedText::EMPTY;
        let status = work(&mut answer);
        let text = take_text(api, answer);
        match status {
            Status::Ok => Ok(text),
            other => Err((other, text)),
        }
    }
}

/// Copies a text of the bridge and gives it back.
pub(super) fn take_text(api: &Api, text: OwnedText) -> String {
    if text.data.is_null() {
        return String::new();
    }
    // SAFETY: the bridge gave this many bytes, which are its own until it gets them back.
    let copy = unsafe {
        String::from_utf8_lossy(std::slice::from_raw_parts(text.data, text.len)).into_owned()
    };
    (api.free_text)(text);
    copy
}

// SAFETY: the function table is immutable and its functions may be called from any thread.
unsafe impl Send for Runtime {}
// SAFETY: as above.
unsafe impl Sync for Runtime {}
