#!/usr/bin/env bash
# The crates below the plugin stand by themselves: each one's package builds alone, and nothing below
# it is of GStreamer, Python or logging.
set -euo pipefail
. "$(dirname "$0")/setup.sh"

for crate in rustaudio-dsp rustaudio-resilience; do
  found=$(cargo tree --locked -p "$crate" -e normal,build --prefix none -f '{p}' \
    | grep -E '^(gstreamer|glib|gobject|gio|pyo3|numpy|python|tracing|log)[a-z0-9_-]* ' || true)
  [ -z "$found" ] || fail "$crate must not depend on:" "$found"
  cargo package --locked --allow-dirty -p "$crate"
done
