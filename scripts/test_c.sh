#!/usr/bin/env bash
# Servers in C (examples/c) with the plugin linked in, and with it loaded from its file: recorded speech
# through all four elements.
#
#   scripts/test_c.sh            the libraries installed below the target folder by `cargo cinstall`, found by
#                                pkg-config
#   scripts/test_c.sh --debug    the libraries that cargo itself builds, without optimisation
set -euo pipefail
. "$(dirname "$0")/setup.sh"
help_asked "${1-}"
[ "${1---debug}" = --debug ] || fail "No option of this script: $1. There are --debug and --help."

need_rust
need_runtime
target=${CARGO_TARGET_DIR:-$PWD/target}
# For cargo-c, which is built of cargo itself.
[ $# -gt 0 ] || need_packages libssl-dev make
set_up
fetch_crates
work=$target/c
mkdir -p "$work"

# of PREFIX OPTION...: what pkg-config says of it.
of() { PKG_CONFIG_PATH=$work/$1/lib/pkgconfig pkg-config "${@:2}" gstrustaudio; }

if [ $# -gt 0 ]; then
  cargo rustc --locked --lib --crate-type cdylib,staticlib
  static=("$target/debug/libgstrustaudio.a"
    $(pkg-config --cflags --libs gstreamer-1.0 gstreamer-base-1.0 gstreamer-audio-1.0 gio-2.0) -lm -ldl)
  shared=$target/debug/libgstrustaudio.so
else
  # The oldest that is made of the cargo of Rust 1.95, and the newest that builds with 1.92.
  need_cargo_tool cargo-c 0.10.21+cargo-0.95.0
  say "cargo cinstall"
  rm -rf "$work/both" "$work/archive"
  cargo cinstall --locked --release --prefix "$work/both" --libdir "$work/both/lib"
  installed=$(cd "$work/both" && find . -type f | sort | tr '\n' ' ')
  echo "$installed"
  [ "$installed" = "./lib/gstreamer-1.0/libgstrustaudio.a ./lib/gstreamer-1.0/libgstrustaudio.so ./lib/pkgconfig/gstrustaudio.pc " ] \
    || fail "These are not the files of a plugin."
  of both --validate
  cat "$work/both/lib/pkgconfig/gstrustaudio.pc"
  # Where both are, the linker takes the shared one: as `--library-type=staticlib` installs it, without building anew.
  cp -r "$work/both" "$work/archive"
  rm "$work"/archive/lib/gstreamer-1.0/*.so
  sed -i "s|$work/both|$work/archive|" "$work/archive/lib/pkgconfig/gstrustaudio.pc"
  static=($(of archive --cflags --libs --static))
  shared=$(of both --variable=libdir)/gstreamer-1.0/libgstrustaudio.so
fi
cc -Wall -Wextra -Werror examples/c/static_host.c -o "$work/static_host" "${static[@]}"
cc -Wall -Wextra -Werror examples/c/shared_host.c -o "$work/shared_host" $(pkg-config --cflags --libs gstreamer-1.0)

# GStreamer is to find no other build of the plugin.
unset GST_PLUGIN_PATH GST_PLUGIN_PATH_1_0
export GST_REGISTRY=$work/registry.bin HOME=$work
# plays NAME COMMAND...: speech through all four elements by that server.
plays() {
  say "$1"
  "${@:2}" filesrc location=/usr/share/sounds/alsa/Front_Center.wav ! wavparse \
    ! rustaudioconvert ! audio/x-raw,format=F32LE,channels=1 ! rustresample ! audio/x-raw,rate=16000 ! rustvad \
    ! pypipelinenode module=examples/nodes/gain.py class=Gain on-failure=error ! fakesink >"$work/messages"
  local finals segments
  finals=$(grep -c '^rustaudio-metrics.*status=(string)ok.*final=(boolean)true' "$work/messages" || true)
  segments=$(grep -c '^rustvad, speech=(boolean)true' "$work/messages" || true)
  echo "$finals of 4 elements told their final metrics, $segments segments of speech"
  [ "$finals" -eq 4 ] && [ "$segments" -gt 0 ]
}
plays "Linked in" "$work/static_host"
! ldd "$work/static_host" | grep -i rustaudio || fail "The plugin is not linked into the server: it is asked for as a library."
plays "Loaded from its file" "$work/shared_host" "$shared"
