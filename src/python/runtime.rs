//! The interpreter of this process and the bridge into it, loaded once and never unloaded.

use std::ffi::{CStr, CString, OsStr, c_char, c_int, c_void};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use super::abi::{ABI_VERSION, Api, ENTRY, OwnedText, Status, Text};
use super::find::{self, Candidates};

/// The bridge, built by build.rs.
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
    #[error("{0} has no version of Python that could be told; is it a virtualenv or a prefix?")]
    NoVersion(String),
    #[error(
        "Python 3.{running} runs in this process already, and {origin} needs Python 3.{needed}; \
         use isolation=process"
    )]
    OtherVersion {
        running: u32,
        needed: u32,
        origin: String,
    },
    #[error("Python {0} is older than 3.10, the oldest that is supported")]
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

    /// Starts the interpreter, unless it runs, and lets go of the GIL.
    fn initialise(&self, program: Option<&Path>) -> Result<bool, LoadError> {
        type IsInitialized = unsafe extern "C" fn() -> c_int;
        type InitializeEx = unsafe extern "C" fn(c_int);
        type SaveThread = unsafe extern "C" fn() -> *mut c_void;
        type DecodeLocale = unsafe extern "C" fn(*const c_char, *mut usize) -> *mut c_void;
        type SetProgramName = unsafe extern "C" fn(*mut c_void);
        let is_initialized = self.function(c"Py_IsInitialized")?;
        let initialize = self.function(c"Py_InitializeEx")?;
        let save_thread = self.function(c"PyEval_SaveThread")?;
        // SAFETY: signatures of Python's stable ABI. The program name is never freed, as Python
        // asks. No signal handlers are installed: Ctrl-C belongs to the host. The GIL, which the
        // initialisation takes, is released for whichever thread comes first.
        unsafe {
            let is_initialized: IsInitialized = std::mem::transmute(is_initialized);
            if is_initialized() != 0 {
                return Ok(false);
            }
            let name = program.and_then(|p| CString::new(p.as_os_str().as_bytes()).ok());
            // Gone in Python 3.15; the environment's site directory is added later anyway.
            if let (Some(name), Some(decode), Some(set)) = (
                name,
                self.symbol(c"Py_DecodeLocale"),
                self.symbol(c"Py_SetProgramName"),
            ) {
                let decode: DecodeLocale = std::mem::transmute(decode);
                let set: SetProgramName = std::mem::transmute(set);
                let wide = decode(name.as_ptr(), std::ptr::null_mut());
                if !wide.is_null() {
                    set(wide);
                }
            }
            let initialize: InitializeEx = std::mem::transmute(initialize);
            initialize(0);
            let save_thread: SaveThread = std::mem::transmute(save_thread);
            save_thread();
        }
        Ok(true)
    }
}

/// Opens the embedded library: from memory, or from a private file where there is no memfd.
fn open_bridge() -> Result<&'static Api, LoadError> {
    let handle = open_from_memory().or_else(|_| open_from_file())?;
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

fn open_from_memory() -> Result<*mut c_void, LoadError> {
    let fault = |e: std::io::Error| LoadError::Bridge(e.to_string());
    // SAFETY: a new descriptor, owned by nobody else.
    let fd = unsafe {
        let fd = libc::memfd_create(c"rustaudio-bridge".as_ptr(), libc::MFD_CLOEXEC);
        if fd < 0 {
            return Err(fault(std::io::Error::last_os_error()));
        }
        OwnedFd::from_raw_fd(fd)
    };
    let mut file = std::fs::File::from(fd);
    std::io::Write::write_all(&mut file, BRIDGE).map_err(fault)?;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    open(OsStr::new(&path), BRIDGE_FLAGS).ok_or_else(|| LoadError::Bridge(last_dl_error()))
}

fn open_from_file() -> Result<*mut c_void, LoadError> {
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
    let opened = std::io::Write::write_all(&mut file, BRIDGE)
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
        library.initialise(wanted.program.as_deref())?;
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
unsafe impl Sync for Runtime {}
