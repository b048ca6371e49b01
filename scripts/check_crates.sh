#!/usr/bin/env bash
# The crates stand by themselves: what cargo would publish of each builds alone, and nothing below the
# signal processing and the resilience is of GStreamer, Python or logging. The plugin's package makes its
# bridge to Python, with the compiler that it is given, and the plugin built from it runs a node.
set -euo pipefail
. "$(dirname "$0")/setup.sh"
help_asked "${1-}"

need_rust
need_runtime
set_up
fetch_crates

below=(rustaudio-dsp rustaudio-resilience)
version=$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"/\1/p' Cargo.toml)
work=${CARGO_TARGET_DIR:-$PWD/target}/packaged

say "What they depend on"
for crate in "${below[@]}"; do
  found=$(cargo tree --locked -p "$crate" -e normal,build --prefix none -f '{p}' \
    | grep -E '^(gstreamer|glib|gobject|gio|pyo3|numpy|python|tracing|log)[a-z0-9_-]* ' || true)
  [ -z "$found" ] || fail "$crate must not depend on:" "$found"
done
# Newer functions of the standard library are found by clippy (incompatible_msrv), newer syntax by
# scripts/check_msrv.sh.
cargo metadata --locked --format-version 1 --all-features | /usr/bin/python3 -c '
import json, sys
wanted = [int(n) for n in sys.argv[1].split(".")]
for p in json.load(sys.stdin)["packages"]:
    if p["rust_version"] and [int(n) for n in p["rust_version"].split(".")] > wanted + [0]:
        sys.exit("%(name)s %(version)s asks for Rust %(rust_version)s, " % p + "newer than " + sys.argv[1])
' "$(wanted_rust)"

say "What would be published, built from it"
mkdir -p "$work"
# Notes what is compiled: a RUSTC of the builder has to be asked for the bridge, too.
cat >"$work/rustc" <<EOF
#!/bin/sh
echo "\$@" >>"$work/compiled"
exec "$(command -v rustc)" "\$@"
EOF
chmod +x "$work/rustc"
# Cargo takes a published version for unchanging, and so keeps what an earlier commit unpacked and compiled of
# the same version, in this folder or for another checkout at this path.
for crate in "${below[@]}"; do
  rm -rf "${CARGO_HOME:-$HOME/.cargo}"/registry/src/-*/"$crate-$version" "$work/debug/.fingerprint/$crate"-*
done
# The bridge is built anew, or nothing could be noted.
rm -rf "$work/compiled" "$work/bridge/workspace"
RUSTC=$work/rustc CARGO_TARGET_DIR=$work CARGO_PROFILE_DEV_OPT_LEVEL=0 CARGO_PROFILE_DEV_DEBUG=false \
  cargo package --locked --allow-dirty -p rustaudio-dsp -p rustaudio-resilience -p gst-plugin-rustaudio
grep -q -- '--crate-name rustaudio_bridge ' "$work/compiled" || fail "The bridge was not compiled with RUSTC."
for crate in "${below[@]}" gst-plugin-rustaudio; do
  listed=$(tar -tzf "$work/package/$crate-$version.crate")
  for file in README.md LICENSE; do
    grep -qx "$crate-$version/$file" <<<"$listed" || fail "The package of $crate has no $file."
  done
done

say "The plugin of the package"
mkdir -p "$work/plugins"
cp "$work/debug/libgstrustaudio.so" "$work/plugins/"
env -u GST_PLUGIN_PATH_1_0 GST_PLUGIN_PATH="$work/plugins" GST_REGISTRY="$work/registry.bin" \
  gst-launch-1.0 -q audiotestsrc num-buffers=3 ! rustaudioconvert ! audio/x-raw,format=F32LE \
  ! pypipelinenode module=examples/nodes/gain.py class=Gain on-failure=error ! fakesink
