#!/usr/bin/env bash
# The crate of the signal processing stands by itself: its package builds alone, and nothing below it
# is of GStreamer, Python or logging.
set -euo pipefail
. "$(dirname "$0")/setup.sh"

found=$(cargo tree --locked -p rustaudio-dsp -e normal,build --prefix none -f '{p}' \
  | grep -E '^(gstreamer|glib|gobject|gio|pyo3|numpy|python|tracing|log)[a-z0-9_-]* ' || true)
[ -z "$found" ] || fail "rustaudio-dsp must not depend on:" "$found"
cargo package --locked --allow-dirty -p rustaudio-dsp
