#!/usr/bin/env bash
# Runs the tests of the signal processing as 64-bit Arm code, in an emulator: every kernel that NEON
# takes part in, against the same references as elsewhere. On Arm itself scripts/test.sh does that.
#
# Needs a Rust compiler with the target aarch64-unknown-linux-gnu: the one at hand where it has it
# (rustup target add aarch64-unknown-linux-gnu), else Debian's, unpacked below the target folder.
set -euo pipefail
. "$(dirname "$0")/setup.sh"

need_rust
need_packages gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static alsa-utils
set_up

target=aarch64-unknown-linux-gnu
mkdir -p "${CARGO_TARGET_DIR:-target}/arm"
work=$(realpath "${CARGO_TARGET_DIR:-target}/arm")

if [ ! -d "$(rustc --print target-libdir --target $target)" ]; then
  if [ ! -x "$work/rust/usr/bin/rustc" ]; then
    say "A Rust compiler for Arm, from Debian's packages"
    mkdir -p "$work/packages"
    others=$(dpkg --print-foreign-architectures)
    if ! grep -qx arm64 <<<"$others"; then
      dpkg --add-architecture arm64
      trap 'dpkg --remove-architecture arm64; apt-get update -qq' EXIT
    fi
    apt-get update -qq
    (
      cd "$work/packages"
      std=$(apt-cache depends libstd-rust-web-dev | sed -n 's/.*Depends: \(libstd-rust-web-[0-9.]*\)$/\1/p')
      llvm=$(apt-cache depends "$std" | sed -n 's/.*Depends: \(libllvm[0-9]*\)$/\1/p')
      apt-get download -qq rustc-web libstd-rust-web-dev "$std" "$llvm" libstd-rust-web-dev:arm64 "$std:arm64"
    )
    for package in "$work"/packages/*.deb; do dpkg -x "$package" "$work/rust"; done
  fi
  export RUSTC=$work/rust/usr/bin/rustc LD_LIBRARY_PATH=$work/rust/usr/lib/$(uname -m)-linux-gnu
fi
"${RUSTC:-rustc}" --version

export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64-static -L /usr/aarch64-linux-gnu"
say "Tests of the signal processing on emulated 64-bit Arm"
# The crate knows nothing of GStreamer, so it builds without an Arm GStreamer.
RUSTFLAGS="-D warnings" CARGO_TARGET_DIR=$work/build cargo test --locked -p rustaudio-dsp --target $target
