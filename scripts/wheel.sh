#!/usr/bin/env bash
# Builds the wheel gstrustaudio, with the plugin in it, and prints its path.
#   scripts/wheel.sh [--arch ARCH] [PROFILE]      PROFILE: release (the default), dev, or dist, as it is handed on
# ARCH as scripts/package.sh has it.
set -euo pipefail
. "$(dirname "$0")/setup.sh"
. scripts/cross.sh
help_asked "${1-}"

arch_asked "$@"
shift "$arch_words"
profile=${1:-release}
target=${CARGO_TARGET_DIR:-$PWD/target}
need_rust
need_build_for "$arch"
need_packages python3-venv binutils
{
  set_up_cross
  fetch_crates
  tools=$target/wheel-tools
  need_venv "$tools" 'maturin>=1.9,<2'

  # As scripts/package.sh builds it: what that compiled is there.
  whole=()
  [ "$profile" != dist ] || { for_others && whole=(--workspace); }
  cargo build --locked "${whole[@]}" --profile "$profile" "${cargo_for[@]}"
  built=$target/${cargo_for[1]+${cargo_for[1]}/}$profile
  [ "$profile" != dev ] || built=${built%dev}debug
  staged=python/gstrustaudio/plugins
  trap 'rm -rf "$staged"' EXIT
  mkdir -p "$staged"
  "${tools_for}strip" --strip-unneeded -o "$staged/libgstrustaudio.so" "$built/libgstrustaudio.so"

  out=$target/wheels/$profile${cargo_for[1]+-$arch}
  rm -rf "$out"
  "$tools/bin/maturin" build --manifest-path python/Cargo.toml --profile "$profile" --locked --out "$out" \
    "${cargo_for[@]}"
} >&2
echo "$out"/*.whl
