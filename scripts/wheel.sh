#!/usr/bin/env bash
# Builds the wheel gstrustaudio, with the plugin in it, and prints its path.
#   scripts/wheel.sh [PROFILE]      release (the default), dev, or dist, as it is handed on
set -euo pipefail
. "$(dirname "$0")/setup.sh"
help_asked "${1-}"

profile=${1:-release}
target=${CARGO_TARGET_DIR:-$PWD/target}
need_rust
need_runtime
need_packages python3-venv binutils
{
  set_up
  fetch_crates
  tools=$target/wheel-tools
  [ -x "$tools/bin/maturin" ] || { python3 -m venv "$tools" && "$tools/bin/pip" -q install 'maturin>=1.9,<2'; }

  [ "$profile" != dist ] || for_others
  cargo build --locked --profile "$profile"
  built=$target/$profile
  [ "$profile" != dev ] || built=$target/debug
  staged=python/gstrustaudio/plugins
  trap 'rm -rf "$staged"' EXIT
  mkdir -p "$staged"
  strip --strip-unneeded -o "$staged/libgstrustaudio.so" "$built/libgstrustaudio.so"

  out=$target/wheels/$profile
  rm -rf "$out"
  "$tools/bin/maturin" build --manifest-path python/Cargo.toml --profile "$profile" --locked --out "$out"
} >&2
echo "$out"/*.whl
