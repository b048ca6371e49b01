#!/usr/bin/env bash
# The tables that hold resampling, conversion and live streams against what others have written: installs the
# libraries that are compared with, then runs the benches, which print them as the documents have them.
#
#   scripts/peers.sh [resample|convert|cold]...     all three, some minutes in all; keep the machine free meanwhile
#
# `resample` and `convert` run as the machine can, and once more held back to AVX2.
set -euo pipefail
. "$(dirname "$0")/setup.sh"
help_asked "${1-}"

need_rust
need_runtime
need_peers
need_packages valgrind
set_up
fetch_crates

[ $# -gt 0 ] || set -- resample convert cold
for what in "$@"; do
  case $what in
    resample | convert)
      bench=$what
      [ "$what" = convert ] || bench=resample_peers
      say "cargo bench --bench $bench"
      cargo bench --locked --bench "$bench"
      say "RUSTAUDIO_SIMD=avx2 cargo bench --bench $bench"
      RUSTAUDIO_SIMD=avx2 cargo bench --locked --bench "$bench"
      ;;
    cold)
      say "cargo run --release --example cold_streams"
      cargo run --release --locked --example cold_streams
      say "cargo run --release --example cold_streams -- --touched"
      cargo run --release --locked --example cold_streams -- --touched
      ;;
    *) fail "What is $what? resample, convert or cold." ;;
  esac
done
