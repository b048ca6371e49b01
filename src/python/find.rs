// SPDX-License-Identifier: MIT

//! Where an interpreter may be: directories, virtualenvs, names of libraries. Looks at files, loads
//! nothing.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Oldest and newest minor version of Python 3 that is looked for.
pub const MINORS: std::ops::RangeInclusive<u32> = 10..=14;

/// Names the shared library itself, before all else.
pub const LIBPYTHON_VARIABLE: &str = "RUSTAUDIO_LIBPYTHON";

/// An interpreter to load.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Candidates {
    /// Paths and names for the dynamic linker, in order of preference.
    pub libraries: Vec<String>,
    /// The python executable that it shall take itself for; it finds its prefix by it.
    pub program: Option<PathBuf>,
    /// Version that the environment needs, as 3.`minor`.
    pub minor: Option<u32>,
    /// The environment that was asked for.
    pub home: Option<PathBuf>,
    /// Where this came from, for messages.
    pub origin: String,
}

impl Candidates {
    /// Debian's package of the library that is preferred, or the one that brings whichever is the
    /// system's where the name tells no version.
    pub fn package(&self) -> String {
        let file = self
            .libraries
            .first()
            .and_then(|l| Path::new(l).file_name());
        let minor = file
            .and_then(OsStr::to_str)
            .and_then(|name| minor_of(name.strip_prefix("libpython")?));
        minor.or(self.minor).map_or_else(
            || "libpython3-dev".into(),
            |minor| format!("libpython3.{minor}"),
        )
    }
}

/// What `pyvenv.cfg` says.
#[derive(Debug, Default, PartialEq, Eq)]
struct VenvConfig {
    /// Directory of the interpreter it was made with.
    home: Option<PathBuf>,
    minor: Option<u32>,
}

fn minor_of(version: &str) -> Option<u32> {
    let mut parts = version.trim().split('.');
    (parts.next()? == "3").then_some(())?;
    let digits: String = parts
        .next()?
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    digits.parse().ok()
}

fn venv_config(home: &Path) -> Option<VenvConfig> {
    let text = std::fs::read_to_string(home.join("pyvenv.cfg")).ok()?;
    let mut config = VenvConfig::default();
    for line in text.lines() {
        let Some((key, value)) = line.split_once('=') else {
            continue;
        };
        match key.trim() {
            "home" => config.home = Some(PathBuf::from(value.trim())),
            // uv writes version_info.
            "version" | "version_info" => config.minor = minor_of(value),
            _ => {}
        }
    }
    Some(config)
}

/// Files that the library of 3.`minor` goes by.
fn names(minor: u32) -> [String; 2] {
    if cfg!(target_os = "macos") {
        [format!("libpython3.{minor}.dylib"), "Python".into()]
    } else {
        [
            format!("libpython3.{minor}.so.1.0"),
            format!("libpython3.{minor}.so"),
        ]
    }
}

/// Existing libraries of 3.`minor` below the prefix of `bin`.
fn beside(bin: &Path, minor: u32) -> Vec<String> {
    let Some(prefix) = bin.parent() else {
        return Vec::new();
    };
    ["lib", "lib64", "."]
        .iter()
        .flat_map(|dir| names(minor).map(|name| prefix.join(dir).join(name)))
        .filter(|path| path.exists())
        .map(|path| path.display().to_string())
        .collect()
}

/// Minor version of the interpreter at `program`, by the file that it is a link to.
fn minor_of_program(program: &Path) -> Option<u32> {
    let real = std::fs::canonicalize(program).ok()?;
    let name = real
        .file_name()?
        .to_str()?
        .strip_prefix("python")?
        .to_owned();
    minor_of(&name)
}

fn program_in(home: &Path) -> Option<PathBuf> {
    ["bin/python3", "bin/python"]
        .iter()
        .map(|name| home.join(name))
        .find(|path| path.exists())
}

/// Minor version of an installation, by its `lib/python3.X`.
fn minor_of_prefix(home: &Path) -> Option<u32> {
    MINORS
        .rev()
        .find(|minor| home.join(format!("lib/python3.{minor}")).is_dir())
}

impl Candidates {
    /// The version and where it was asked for.
    pub fn version(&self) -> String {
        let minor = self.minor.map_or("?".into(), |minor| minor.to_string());
        format!("3.{minor} of {}", self.origin)
    }
}

/// The interpreter of the virtualenv, conda environment or installation at `home`.
pub fn at_home(home: &Path, origin: &str) -> Candidates {
    let mut found = Candidates {
        program: program_in(home),
        home: Some(home.to_owned()),
        origin: format!("{origin} ({})", home.display()),
        ..Candidates::default()
    };
    let config = venv_config(home);
    let base = config.as_ref().and_then(|c| c.home.clone());
    found.minor = config
        .and_then(|c| c.minor)
        .or_else(|| minor_of_prefix(home))
        .or_else(|| found.program.as_deref().and_then(minor_of_program));
    if let Some(minor) = found.minor {
        found.libraries.extend(beside(&home.join("bin"), minor));
        if let Some(base) = base {
            found.libraries.extend(beside(&base, minor));
        }
        found.libraries.push(names(minor)[0].clone());
    }
    found
}

/// The system's interpreter: that of `/usr/bin/python3` first, then any that the dynamic linker
/// knows, newest first.
pub fn system() -> Candidates {
    let program = Path::new("/usr/bin/python3");
    let preferred = minor_of_program(program);
    let mut libraries: Vec<String> = preferred
        .into_iter()
        .chain(MINORS.rev().filter(|m| Some(*m) != preferred))
        .map(|minor| names(minor)[0].clone())
        .collect();
    // Pythons that are installed without their library being known to the linker.
    if let Some(found) = on_path() {
        libraries.extend(found);
    }
    Candidates {
        libraries,
        program: program.exists().then(|| program.to_owned()),
        minor: None,
        home: None,
        origin: "the system".into(),
    }
}

/// Libraries beside the first `python3` on PATH that is not the system's.
fn on_path() -> Option<Vec<String>> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join("python3"))
        .filter_map(|program| std::fs::canonicalize(program).ok())
        .find_map(|program| {
            let minor = minor_of_program(&program)?;
            let found = beside(program.parent()?, minor);
            (!found.is_empty()).then_some(found)
        })
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|v| !v.is_empty())
}

/// The active environment, and the variable that says so. One of conda may be there for other
/// things than Python.
fn active() -> Option<(&'static str, PathBuf)> {
    let home = |name| variable(name).map(|home| (name, PathBuf::from(home)));
    home("VIRTUAL_ENV").or_else(|| {
        home("CONDA_PREFIX")
            .filter(|(_, home)| program_in(home).is_some() || minor_of_prefix(home).is_some())
    })
}

/// Where to look, given the `python-home` property.
pub fn candidates(python_home: Option<&str>) -> Candidates {
    let home = match python_home {
        Some(home) => Some(at_home(Path::new(home), "python-home")),
        None => active().map(|(name, home)| at_home(&home, name)),
    };
    let mut found = home.unwrap_or_else(system);
    if let Some(library) = variable(LIBPYTHON_VARIABLE) {
        found.libraries = vec![library];
        found.origin = format!("{LIBPYTHON_VARIABLE}, {}", found.origin);
    }
    found
}

/// Whether the standard library of 3.`minor` is below `prefix`.
fn has_library(prefix: &Path, minor: u32) -> bool {
    let folders = variable("PYTHONPLATLIBDIR");
    folders
        .as_deref()
        .into_iter()
        .chain(["lib", "lib64"])
        .map(|lib| prefix.join(lib))
        .any(|lib| has_encodings(&lib.join(format!("python3.{minor}"))))
        || prefix.join(format!("lib/python3{minor}.zip")).exists()
}

/// What Python needs before all else is there.
fn has_encodings(folder: &Path) -> bool {
    ["__init__.py", "__init__.pyc"]
        .iter()
        .any(|file| folder.join("encodings").join(file).exists())
}

/// Why an interpreter of 3.`minor` would not find its standard library, and so end the process that
/// starts it; `None` where nothing speaks against it.
pub fn without_library(wanted: &Candidates, minor: u32) -> Option<String> {
    if std::env::split_paths(&variable("PYTHONPATH").unwrap_or_default())
        .any(|folder| has_encodings(&folder))
    {
        return None;
    }
    let missing = format!("no standard library of Python 3.{minor} (lib/python3.{minor})");
    if let Some(home) = variable("PYTHONHOME") {
        let prefix = Path::new(home.split(':').next().unwrap_or_default());
        return (!has_library(prefix, minor)).then(|| {
            format!("PYTHONHOME is {home}, where there is {missing}: unset it, or correct it")
        });
    }
    // Python takes a prefix by its first file, whatever of the rest is there.
    let home = wanted.home.as_deref()?;
    let base = venv_config(home).and_then(|config| config.home?.parent().map(Path::to_owned));
    let prefix = base.as_deref().unwrap_or(home);
    let taken = prefix.join(format!("lib/python3.{minor}/os.py")).exists();
    (taken && !has_library(prefix, minor)).then(|| {
        format!(
            "{} leads to {}, where there is {missing} that is whole",
            wanted.origin,
            prefix.display()
        )
    })
}

/// The variables of the environment that Python goes by, for messages.
pub fn variables() -> String {
    let set: Vec<String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, _)| name.starts_with("PYTHON"))
        .map(|(name, value)| format!("{name}={}", value.to_string_lossy()))
        .collect();
    if set.is_empty() {
        return "No variable of the environment says how it shall".into();
    }
    format!("It was told by {}", set.join(", "))
}

/// Site directory of the environment at `home`, for an interpreter that was started without it.
pub fn site_packages(home: &Path, minor: u32) -> Option<PathBuf> {
    let path = home.join(format!("lib/python3.{minor}/site-packages"));
    path.is_dir().then_some(path)
}

/// Executable that a worker process is started with; the message of an error where there is none,
/// or none that can start.
pub fn executable(python_home: Option<&str>) -> Result<PathBuf, String> {
    let home = match python_home {
        Some(home) => Some(("python-home", PathBuf::from(home))),
        None => active(),
    };
    let program = match &home {
        Some((name, home)) => program_in(home).ok_or_else(|| {
            format!(
                "{name} {} has neither bin/python3 nor bin/python in it",
                home.display()
            )
        })?,
        None => Some(PathBuf::from("/usr/bin/python3"))
            .filter(|system| system.exists())
            .unwrap_or_else(|| PathBuf::from("python3")),
    };
    let wanted = home.map(|(name, home)| at_home(&home, name));
    match minor_of_program(&program)
        .and_then(|minor| without_library(&wanted.unwrap_or_default(), minor))
    {
        Some(text) => Err(text),
        None => Ok(program),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A directory of its own for each test, gone at its end.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("rustaudio-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&dir);
            fs::create_dir_all(&dir).unwrap();
            Self(dir)
        }

        fn file(&self, path: &str, text: &str) -> PathBuf {
            let path = self.0.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            path
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn advice_names_the_package_of_the_version_that_is_looked_for() {
        let package = |libraries: &[&str], minor| {
            let libraries = libraries.iter().map(|l| l.to_string()).collect();
            let found = Candidates {
                libraries,
                minor,
                ..Candidates::default()
            };
            found.package()
        };
        assert_eq!(
            package(&["libpython3.13.so.1.0", "libpython3.14.so.1.0"], None),
            "libpython3.13"
        );
        assert_eq!(
            package(&["/opt/py/lib/libpython3.12.so"], Some(12)),
            "libpython3.12"
        );
        assert_eq!(package(&["/opt/libpython.so"], Some(10)), "libpython3.10");
        assert_eq!(package(&["/opt/libpython.so"], None), "libpython3-dev");
        assert_eq!(package(&[], None), "libpython3-dev");
    }

    #[test]
    fn a_virtualenv_leads_to_the_library_of_its_home() {
        let dir = Scratch::new("venv");
        let library = dir.file("base/lib/libpython3.12.so.1.0", "");
        let program = dir.file("venv/bin/python3", "");
        dir.file(
            "venv/pyvenv.cfg",
            &format!(
                "home = {}\ninclude-system-site-packages = false\nversion = 3.12.1\n",
                dir.0.join("base/bin").display()
            ),
        );
        let found = at_home(&dir.0.join("venv"), "test");
        assert_eq!(found.minor, Some(12));
        assert_eq!(found.program.as_ref(), Some(&program));
        let home = dir.0.join("venv").display().to_string();
        assert_eq!(executable(Some(&home)), Ok(program));
        assert_eq!(
            found.libraries,
            [
                library.display().to_string(),
                "libpython3.12.so.1.0".to_string()
            ]
        );
    }

    #[test]
    fn a_prefix_has_its_library_below() {
        let dir = Scratch::new("prefix");
        let library = dir.file("lib/libpython3.11.so.1.0", "");
        dir.file("lib/python3.11/os.py", "");
        dir.file("lib/python3.11/site-packages/x.py", "");
        let found = at_home(&dir.0, "test");
        assert_eq!(found.minor, Some(11));
        assert_eq!(found.libraries[0], library.display().to_string());
        assert!(site_packages(&dir.0, 11).is_some());
        assert_eq!(site_packages(&dir.0, 12), None);
    }

    #[test]
    fn an_empty_home_offers_nothing() {
        let dir = Scratch::new("empty");
        let found = at_home(&dir.0, "test");
        assert_eq!(
            (found.libraries.len(), found.minor, found.program),
            (0, None, None)
        );
        let home = dir.0.display().to_string();
        assert!(executable(Some(&home)).is_err_and(|text| text.contains(&home)));
    }

    #[test]
    fn versions() {
        assert_eq!(minor_of("3.11.2"), Some(11));
        assert_eq!(minor_of("3.13.0+"), Some(13));
        assert_eq!(minor_of("3.14t"), Some(14));
        assert_eq!(minor_of("2.7.18"), None);
        assert_eq!(minor_of(""), None);
    }
}
