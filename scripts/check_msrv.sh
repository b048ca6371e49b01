#!/usr/bin/env bash
# Compiles everything, tests and the bridge to Python too, with the oldest Rust that Cargo.toml promises:
# newer syntax is seen by an older compiler alone (newer functions clippy sees). Needs rustup, which brings
# that compiler beside the others.
set -euo pipefail
. "$(dirname "$0")/setup.sh"
help_asked "${1-}"

need_rust
need_runtime
set_up
command -v rustup >/dev/null || fail "Which compiler is used is rustup's business, and it is not here: get it from https://rustup.rs."
oldest=$(wanted_rust).0
if ! grep -q "^$oldest-" <<<"$(rustup toolchain list)"; then
  say "Installing Rust $oldest beside the others"
  rustup -q toolchain install "$oldest" --profile minimal --no-self-update
fi
export RUSTUP_TOOLCHAIN=$oldest
fetch_crates
say "$(rustc --version)"
CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}/msrv cargo check --workspace --all-targets --locked
