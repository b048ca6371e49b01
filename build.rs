//! Builds the bridge to Python, which the plugin embeds.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn main() {
    gst_plugin_version_helper::info();
    package_origin();
    build_bridge();
}

/// The URL that gst-inspect shows: whoever packages the plugin knows it, and for everybody else there
/// is GStreamer's own word for it.
fn package_origin() {
    println!("cargo:rerun-if-env-changed=PACKAGE_ORIGIN");
    let origin = env::var("PACKAGE_ORIGIN").unwrap_or_else(|_| "Unknown package origin".into());
    println!("cargo:rustc-env=PACKAGE_ORIGIN={origin}");
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|e| panic!("cargo sets {name}: {e}"))
}

/// The bridge is a library of its own, built as a Python extension module: linked into the plugin
/// it would tie the whole file to one libpython. Always optimised, and shared by all profiles.
fn build_bridge() {
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let out = PathBuf::from(variable("OUT_DIR"));
    let sources = [
        "build.rs",
        "Cargo.lock",
        "bridge/Cargo.toml",
        "bridge/src",
        "python/gstrustaudio/_faults.py",
    ];
    for path in sources {
        println!("cargo:rerun-if-changed={}", root.join(path).display());
    }
    let (host, target) = (variable("HOST"), variable("TARGET"));
    // A target folder of its own, since the outer cargo holds the lock of the usual one.
    let target_dir = target_root(&out).join("bridge");

    let mut cargo = Command::new(variable("CARGO"));
    cargo
        .current_dir(&root)
        .args(["build", "--release", "-p", "rustaudio-bridge"])
        .arg("--target-dir")
        .arg(&target_dir)
        // The bridge is for every Python: that of the build machine, if it has one, is of no
        // account.
        .env("PYO3_NO_PYTHON", "1");
    if host != target {
        cargo.args(["--target", &target]);
    }
    // What the outer cargo says about this package is not meant for that one.
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        let ours = [
            "CARGO_FEATURE_",
            "CARGO_CFG_",
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "PYO3_",
        ]
        .iter()
        .any(|prefix| name.starts_with(prefix));
        let single = [
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_TARGET_DIR",
            "CARGO_BUILD_TARGET_DIR",
            "CARGO_BUILD_TARGET",
            "CARGO_MAKEFLAGS",
            "RUSTC_WORKSPACE_WRAPPER",
            "RUSTC",
            "OUT_DIR",
            "TARGET",
            "HOST",
            "PROFILE",
            "OPT_LEVEL",
            "DEBUG",
            "NUM_JOBS",
        ]
        .contains(&&*name);
        if (ours || single) && name != "PYO3_NO_PYTHON" {
            cargo.env_remove(&*name);
        }
    }
    let status = cargo
        .status()
        .unwrap_or_else(|e| panic!("cannot run {:?}: {e}", cargo.get_program()));
    assert!(status.success(), "the bridge to Python does not build");

    let mut built = target_dir;
    if host != target {
        built.push(&target);
    }
    built.push("release");
    let built = [
        "librustaudio_bridge.so",
        "librustaudio_bridge.dylib",
        "rustaudio_bridge.dll",
    ]
    .iter()
    .map(|name| built.join(name))
    .find(|path| path.exists())
    .unwrap_or_else(|| panic!("no library in {}", built.display()));
    // Not named *.so: GStreamer would take it for a plugin.
    let kept = out.join("bridge.bin");
    fs::copy(&built, &kept).unwrap_or_else(|e| panic!("{}: {e}", built.display()));
    println!("cargo:rustc-env=RUSTAUDIO_BRIDGE={}", kept.display());
}

/// The target folder that `OUT_DIR` lies in: above `<profile>/build/<package>/out`.
fn target_root(out: &Path) -> PathBuf {
    let profile = out.ancestors().nth(3).unwrap_or(out);
    let above = profile.parent().unwrap_or(profile);
    // A build for another platform has its triple between.
    if env::var("TARGET").is_ok_and(|t| above.ends_with(&t)) {
        above.parent().unwrap_or(above).to_path_buf()
    } else {
        above.to_path_buf()
    }
}
