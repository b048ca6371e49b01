#!/usr/bin/env bash
# Builds the plugin and runs recorded speech through all four elements.
#   scripts/demo.sh [OUTPUT_DIR]      (default: target/demo)
set -euo pipefail
# Before setup.sh goes to the project's folder.
out=$(realpath -m -- "${1:-$(dirname "$0")/../target/demo}")
. "$(dirname "$0")/setup.sh"
help_asked "${1-}"
out=${out#"$PWD/"}
# What would lead GStreamer or Python elsewhere.
unset GST_PLUGIN_PATH_1_0 VIRTUAL_ENV CONDA_PREFIX

need_rust
need_runtime
need_space 3 "${CARGO_TARGET_DIR:-target}" "name another folder in CARGO_TARGET_DIR"
set_up
fetch_crates

say "Building"
cargo build --release --locked
mkdir -p "$out"
need_plugin_in "$out/plugins" release
export GST_PLUGIN_PATH="$PWD/$out/plugins" GST_REGISTRY="$PWD/$out/registry.bin"
case $out in /*) export GST_PLUGIN_PATH="$out/plugins" GST_REGISTRY="$out/registry.bin" ;; esac

say "A recording: the spoken channel names of alsa-utils, joined with pauses"
/usr/bin/python3 scripts/make_speech.py "$out/speech.wav" "$out/speech.csv"

line=(filesrc location="$out/speech.wav" ! decodebin
  ! rustaudioconvert ! "audio/x-raw,format=F32LE,channels=1"
  ! rustresample ! audio/x-raw,rate=16000
  ! rustvad min-silence=500000000
  ! pypipelinenode module=examples/nodes/gain.py class=Gain 'kwargs={"db": 6}'
  ! wavenc ! filesink location="$out/processed.wav")

say "gst-launch-1.0 -m ${line[*]}"
gst-launch-1.0 -m "${line[@]}" >"$out/messages.txt" 2>"$out/errors.txt" || {
  cat "$out/errors.txt"
  echo "The pipeline failed; its output is in $out/messages.txt and $out/errors.txt." >&2
  exit 1
}
/usr/bin/python3 scripts/demo_report.py "$out"

say "Outputs"
echo "  $out/speech.wav     what went in (48 kHz S16)"
echo "  $out/processed.wav  what came out (16 kHz F32)"
echo "  $out/messages.txt   every bus message, as gst-launch-1.0 -m prints them"
echo "  $out/metrics.json   the pipeline document: what each element cost"
echo "  $out/report.html    the run on one page, for a browser"
