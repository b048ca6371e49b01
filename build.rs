// SPDX-License-Identifier: MIT

//! Builds the bridge to Python, which the plugin embeds.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn main() {
    // The commit that is named in the version: packages set the time of theirs.
    println!("cargo:rerun-if-env-changed=SOURCE_DATE_EPOCH");
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
///
/// Built in a workspace of its own, so that it is the same one whether the plugin's sources lie in their
/// repository or in a package, which has no more than the bridge's files.
fn build_bridge() {
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let out = PathBuf::from(variable("OUT_DIR"));
    for path in [
        "build.rs",
        "Cargo.lock",
        "bridge/manifest.toml",
        "bridge/src",
    ] {
        println!("cargo:rerun-if-changed={}", root.join(path).display());
    }
    // A target folder of its own, since the outer cargo holds the lock of the usual one.
    let target_dir = target_root(&out).join("bridge");
    let workspace = target_dir.join("workspace");
    lay_out(&root, &workspace);

    let (host, target) = (variable("HOST"), variable("TARGET"));
    let mut cargo = Command::new(variable("CARGO"));
    cargo
        // Where cargo finds the settings of whoever builds, such as vendored sources.
        .current_dir(&root)
        .args(["build", "--release", "--manifest-path"])
        .arg(workspace.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target_dir);
    if host != target {
        cargo.args(["--target", &target]);
    }
    forget_outer_cargo(&mut cargo);
    let flags = remapped_paths(&env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default());
    if flags.is_empty() {
        cargo.env_remove("CARGO_ENCODED_RUSTFLAGS");
    } else {
        cargo.env("CARGO_ENCODED_RUSTFLAGS", flags);
    }
    // The bridge is for every Python: that of the build machine, if it has one, is of no account.
    cargo.env("PYO3_NO_PYTHON", "1");
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
    // Half of the size; what runs no Python never unpacks it.
    let kept = out.join("bridge.deflate");
    let library = fs::read(&built).unwrap_or_else(|e| panic!("{}: {e}", built.display()));
    write(&kept, &miniz_oxide::deflate::compress_to_vec(&library, 10));
    println!("cargo:rustc-env=RUSTAUDIO_BRIDGE={}", kept.display());
}

/// Writes the bridge's workspace: its sources, and the versions of Cargo.lock.
fn lay_out(root: &Path, workspace: &Path) {
    let manifest = format!(
        r#"[workspace]
members = ["member"]
resolver = "3"

[workspace.package]
version = "{}"
edition = "2024"
rust-version = "{}"
license = "{}"

[workspace.lints]

# What no strip of the plugin reaches is not in it to begin with.
[profile.release]
codegen-units = 1
lto = "fat"
opt-level = "s"
strip = true
"#,
        variable("CARGO_PKG_VERSION"),
        variable("CARGO_PKG_RUST_VERSION"),
        variable("CARGO_PKG_LICENSE"),
    );
    write(&workspace.join("Cargo.toml"), manifest.as_bytes());
    // Cargo takes what it finds in there and drops the rest.
    let mut files = vec![
        (root.join("Cargo.lock"), workspace.join("Cargo.lock")),
        (
            root.join("bridge/manifest.toml"),
            workspace.join("member/Cargo.toml"),
        ),
    ];
    let sources = root.join("bridge/src");
    let listed = fs::read_dir(&sources).unwrap_or_else(|e| panic!("{}: {e}", sources.display()));
    for file in listed {
        let file = file.unwrap_or_else(|e| panic!("{}: {e}", sources.display()));
        files.push((file.path(), workspace.join("src").join(file.file_name())));
    }
    for (from, to) in files {
        let bytes = fs::read(&from).unwrap_or_else(|e| panic!("{}: {e}", from.display()));
        write(&to, &bytes);
    }
}

/// Writes a file unless it is that one already: a newer date would have it compiled again.
fn write(path: &Path, bytes: &[u8]) {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return;
    }
    path.parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::write(path, bytes))
        .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}

/// What the outer cargo says about this package is not meant for that one. The compiler stays.
fn forget_outer_cargo(cargo: &mut Command) {
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        let ours = [
            "CARGO_FEATURE_",
            "CARGO_CFG_",
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_PROFILE_",
            "PYO3_",
        ]
        .iter()
        .any(|prefix| name.starts_with(prefix));
        let single = [
            "CARGO_TARGET_DIR",
            "CARGO_BUILD_TARGET_DIR",
            "CARGO_BUILD_TARGET",
            "CARGO_MAKEFLAGS",
            "RUSTC_WORKSPACE_WRAPPER",
            "OUT_DIR",
            "TARGET",
            "HOST",
            "PROFILE",
            "OPT_LEVEL",
            "DEBUG",
            "NUM_JOBS",
        ]
        .contains(&&*name);
        if ours || single {
            cargo.env_remove(&*name);
        }
    }
}

/// Of the compiler's flags, separated by 0x1f, those that keep paths of the build machine out of files.
fn remapped_paths(flags: &str) -> String {
    let kept: Vec<_> = flags
        .split('\x1f')
        .filter(|flag| flag.starts_with("--remap-path-prefix="))
        .collect();
    kept.join("\x1f")
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
