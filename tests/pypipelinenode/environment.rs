// SPDX-License-Identifier: MIT

//! What the environment may be: locales, homes of Python that lead nowhere, modules of one name.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{common, run_ok};

const WAYS: [&str; 2] = ["isolation=inprocess", "isolation=process"];

/// A folder of its own, empty.
fn folder(name: &str) -> PathBuf {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join("environment")
        .join(name);
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    dir
}

fn write(path: PathBuf, text: &str) -> PathBuf {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    path
}

/// A folder that says it is a virtualenv of `version`, made with the Python in `base`.
fn venv(dir: &Path, version: &str, base: &Path) -> PathBuf {
    fs::create_dir_all(dir.join("bin")).unwrap();
    std::os::unix::fs::symlink("/usr/bin/python3", dir.join("bin/python3")).unwrap();
    let config = format!("home = {}/bin\nversion = {version}\n", base.display());
    write(dir.join("pyvenv.cfg"), &config);
    dir.to_owned()
}

/// Version of the system's Python, as 3.X.
fn version() -> String {
    let print = "import sys; print('%d.%d' % sys.version_info[:2])";
    let out = Command::new("/usr/bin/python3")
        .args(["-c", print])
        .output()
        .unwrap();
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

/// gst-launch of two buffers through `elements`, without what the environment says of locales and
/// of Python.
fn launch(elements: &str) -> Command {
    let mut command = common::tool("gst-launch-1.0");
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("PYTHON") || name.starts_with("LC_") {
            command.env_remove(&*name);
        }
    }
    for name in ["LC_ALL", "LANG", "LANGUAGE", "VIRTUAL_ENV", "CONDA_PREFIX"] {
        command.env_remove(name);
    }
    command.args(["-m", "audiotestsrc", "num-buffers=2", "!"]);
    command.args(elements.split(' ')).args(["!", "fakesink"]);
    command
}

fn output(command: &mut Command) -> (bool, String) {
    let out = command.output().unwrap();
    let text = [out.stdout, out.stderr].map(|t| String::from_utf8_lossy(&t).into_owned());
    (out.status.success(), text.concat())
}

fn node(path: &Path, way: &str) -> String {
    format!("pypipelinenode module={} {way}", path.display())
}

#[test]
fn text_is_utf_8_in_every_locale() {
    let text = "import locale, os, sys
def process(audio, ctx):
    print('gedrückt')
    ctx.post('seen', out=sys.stdout.encoding, files=sys.getfilesystemencoding(),
             opened=open(os.devnull).encoding, path=ascii(__file__), prefix=ascii(sys.prefix),
             locale=locale.setlocale(locale.LC_CTYPE), told=os.environ.get('LC_CTYPE'))
";
    let path = write(folder("ü").join("nöde.py"), text);
    for way in WAYS {
        for (name, value) in [
            ("LC_ALL", "C"),
            ("LC_ALL", "POSIX"),
            ("LANG", "C"),
            ("LC_ALL", ""),
            // Not installed.
            ("LC_ALL", "xx_XX.UTF-8"),
            ("LC_ALL", "C.UTF-8"),
        ] {
            let (ok, said) = output(launch(&node(&path, way)).env(name, value));
            assert!(ok, "{name}={value} {way}: {said}");
            assert_eq!(said.matches("gedrückt\n").count(), 2, "{said}");
            let seen = said
                .lines()
                .find(|l| l.contains("(element): seen"))
                .unwrap();
            for field in ["out", "files", "opened"] {
                let utf8 = seen
                    .to_lowercase()
                    .contains(&format!("{field}=(string)utf-8"));
                assert!(utf8, "{name}={value} {way}: {seen}");
            }
            assert!(
                seen.contains("n\\\\xf6de.py"),
                "{name}={value} {way}: {seen}"
            );
            if way == WAYS[0] {
                // That of gst-launch, which takes the environment's.
                let locale = if value == "C.UTF-8" { value } else { "C" };
                assert!(
                    seen.contains(&format!("locale=(string){locale},")),
                    "{seen}"
                );
                assert!(seen.contains("told=(string)NULL"), "{seen}");
            }
        }
    }
}

#[test]
fn the_locale_of_the_host_stays_as_it_is() {
    // This process has set none.
    let text = "import locale\ndef process(audio, ctx):\n    \
                ctx.post('seen', locale=locale.setlocale(locale.LC_CTYPE))\n";
    let run = run_ok(1, text, "");
    let seen = run.structures("seen");
    assert_eq!(seen[0].get::<&str>("locale"), Ok("C"));
}

#[test]
fn a_python_that_cannot_start_is_an_element_error_that_names_the_cause() {
    let path = crate::node("def process(audio): pass\n");
    let dir = folder("homes");
    let version = version();
    // An installation of which only the first file is left.
    let torso = dir.join("torso");
    write(torso.join(format!("lib/python{version}/os.py")), "");
    fs::create_dir_all(torso.join("bin")).unwrap();
    std::os::unix::fs::symlink("/usr/bin/python3", torso.join("bin/python3")).unwrap();
    let on_torso = venv(&dir.join("venv"), &version, &torso);
    let [torso, on_torso] = [torso, on_torso].map(|p| p.display().to_string());
    let encodings = write(
        dir.join("path/encodings/__init__.py"),
        "raise ImportError('no')\n",
    );
    let on_path = encodings.ancestors().nth(2).unwrap().display().to_string();
    let nowhere = "/nope";
    for (variable, value, says) in [
        (
            "PYTHONHOME",
            nowhere,
            ["PYTHONHOME is /nope, where there is no standard library"; 2],
        ),
        (
            "VIRTUAL_ENV",
            nowhere,
            [
                "VIRTUAL_ENV (/nope) leads to no Python",
                "VIRTUAL_ENV /nope has neither",
            ],
        ),
        (
            "python-home",
            nowhere,
            [
                "python-home (/nope) leads to no Python",
                "python-home /nope has neither",
            ],
        ),
        ("python-home", &torso, ["python-home ("; 2]),
        ("VIRTUAL_ENV", &on_torso, ["VIRTUAL_ENV ("; 2]),
        (
            "PYTHONPATH",
            &on_path,
            ["does not start: ", "no worker of /usr/bin/python3 starts: "],
        ),
        ("PYTHONHASHSEED", "x", ["PYTHONHASHSEED=x"; 2]),
    ] {
        for (way, says) in WAYS.into_iter().zip(says) {
            let mut elements = node(&path, way);
            if variable == "python-home" {
                elements += &format!(" python-home={value}");
            }
            let (ok, said) = output(launch(&elements).env(variable, value));
            let error = said.lines().find(|l| l.starts_with("ERROR: from element"));
            let error = error.unwrap_or_else(|| panic!("{variable}={value} {way}: {said}"));
            assert!(
                !ok && error.contains(says),
                "{variable}={value} {way}: {error}"
            );
            if variable == "PYTHONPATH" {
                assert!(error.contains(&format!("PYTHONPATH={value}")), "{error}");
            }
        }
    }
    // None of conda's environments has to have a Python.
    let (ok, said) = output(launch(&node(&path, "")).env("CONDA_PREFIX", nowhere));
    assert!(ok, "{said}");
}

#[test]
fn a_python_that_is_too_old_is_told_so() {
    let path = crate::node("def process(audio): pass\n");
    let home = venv(&folder("old"), "3.9.2", Path::new("/usr"));
    let (ok, said) = output(&mut launch(&format!(
        "{} python-home={}",
        node(&path, ""),
        home.display()
    )));
    assert!(!ok && said.contains("Python 3.9 of python-home"), "{said}");
    assert!(said.contains("is older than 3.10"), "{said}");
}

#[test]
fn of_two_homes_that_of_the_last_element_is_used() {
    let path = crate::node("def process(audio): pass\n");
    let dir = folder("two");
    let [first, last] = ["first", "last"]
        .map(|name| venv(&dir.join(name), &version(), Path::new("/usr")))
        .map(|home| home.display().to_string());
    let [a, b] = [&first, &last].map(|home| format!("{} python-home={home}", node(&path, "")));
    let (ok, said) = output(&mut launch(&format!("{a} ! {b}")));
    assert!(ok, "{said}");
    let warning = format!(
        "python-home {first} is not used: this process runs Python with the modules of {last}"
    );
    assert!(said.contains(&warning), "{said}");
    assert!(
        !said.contains(&format!("python-home {last} is not used")),
        "{said}"
    );
}

/// Names that the nodes `names` below `dir` got of the modules that they import.
fn played(dir: &Path, names: [&str; 2], way: &str) -> String {
    let [a, b] = names.map(|name| node(&dir.join(name), way));
    let (ok, said) = output(&mut launch(&format!("{a} ! {b}")));
    assert!(ok, "{said}");
    said
}

#[test]
fn a_module_from_another_folder_is_warned_of() {
    let dir = folder("utils");
    for name in ["a", "b"] {
        write(
            dir.join(name).join("utils.py"),
            &format!("NAME = '{name}'\n"),
        );
        write(
            dir.join(name).join(format!("node_{name}.py")),
            "import json\nimport utils\ndef process(audio, ctx): ctx.post('got', who=utils.NAME)\n",
        );
    }
    let files = ["a/node_a.py", "b/node_b.py"];
    let said = played(&dir, files, WAYS[0]);
    let d = dir.display();
    // The last element opens first.
    let warning = format!(
        "{d}/a/node_a.py imports utils, and gets {d}/b/utils.py, which is loaded by that name \
         already, not {d}/a/utils.py"
    );
    assert_eq!(said.matches("WARNING: from element").count(), 1, "{said}");
    assert!(said.contains(&warning), "{said}");
    assert_eq!(said.matches("who=(string)b").count(), 4, "{said}");
    // Each its own where each has a process, and nothing to warn of.
    let said = played(&dir, files, WAYS[1]);
    assert!(!said.contains("WARNING"), "{said}");
    for name in ["a", "b"] {
        assert_eq!(
            said.matches(&format!("who=(string){name}")).count(),
            2,
            "{said}"
        );
    }
    // By a name without a path, too.
    for name in ["a", "b"] {
        write(dir.join(name).join("same.py"), "def process(audio): pass\n");
    }
    let [a, b] =
        ["a", "b"].map(|name| format!("pypipelinenode module=same python-path={d}/{name}"));
    let (ok, said) = output(&mut launch(&format!("{a} ! {b}")));
    let warning = format!("module=same gets {d}/b/same.py");
    assert!(ok && said.contains(&warning), "{said}");
}

#[test]
fn a_file_named_as_a_standard_module_is_warned_of() {
    let path = write(
        folder("standard").join("queue.py"),
        "def process(audio): pass\n",
    );
    for way in WAYS {
        let (ok, said) = output(&mut launch(&node(&path, way)));
        let warning = "is named as a module of Python's own, queue";
        assert!(ok && said.contains(warning), "{way}: {said}");
    }
}

#[test]
fn a_relative_import_of_a_file_says_how_it_is_done() {
    let dir = folder("package");
    for name in ["pkg/__init__.py", "pkg/sub/__init__.py"] {
        write(dir.join(name), "");
    }
    write(dir.join("pkg/sub/other.py"), "NAME = 'other'\n");
    let text = "from .other import NAME\ndef process(audio, ctx): ctx.post('got', who=NAME)\n";
    let path = write(dir.join("pkg/sub/some.py"), text);
    let (root, name) = (dir.display(), "pkg.sub.some");
    for way in WAYS {
        let (ok, said) = output(&mut launch(&node(&path, way)));
        let error = format!(
            "some.py:1: ImportError: attempted relative import with no known parent \
                             package (a file that is named by its path is part of no package: set \
                             python-path={root} and module={name})"
        );
        assert!(!ok && said.contains(&error), "{way}: {said}");
        let line = format!("pypipelinenode {way} python-path={root} module={name}");
        let (ok, said) = output(&mut launch(&line));
        assert!(ok && said.contains("who=(string)other"), "{way}: {said}");
    }
}
