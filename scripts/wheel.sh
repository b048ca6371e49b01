#!/usr/bin/env bash
# Builds the wheel gstrustaudio, with the plugin in it, and prints its path.
#   scripts/wheel.sh [PROFILE]      release (the default) or dev
set -euo pipefail
. "$(dirname "$0")/setup.sh"

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

  cargo build --locked --profile "$profile"
  built=$target/$profile
  [ "$profile" != dev ] || built=$target/debug
  staged=python/gstrustaudio/plugins
  trap 'rm -rf "$staged"' EXIT
  mkdir -p "$staged"
  strip --strip-debug -o "$staged/libgstrustaudio.so" "$built/libgstrustaudio.so"

  out=$target/wheels/$profile
  rm -rf "$out"
  "$tools/bin/maturin" build --manifest-path python/Cargo.toml --profile "$profile" --locked --out "$out"
} >&2
echo "$out"/*.whl
