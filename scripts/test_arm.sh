#!/usr/bin/env bash
# Runs the tests of the signal processing as 64-bit Arm code, in an emulator: every kernel that NEON
# takes part in, against the same references as elsewhere. On Arm itself scripts/test.sh does that.
#
#   scripts/test_arm.sh [ARGUMENT...]     what cargo test is to be told besides, such as the name of a test
#
# Needs a Rust compiler with the target aarch64-unknown-linux-gnu: the one at hand where it has it
# (rustup target add aarch64-unknown-linux-gnu), else Debian's, unpacked below the target folder.
set -euo pipefail
. "$(dirname "$0")/setup.sh"
help_asked "${1-}"

need_rust
need_packages gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static alsa-utils
set_up
fetch_crates

target=aarch64-unknown-linux-gnu
mkdir -p "${CARGO_TARGET_DIR:-target}/arm"
work=$(realpath "${CARGO_TARGET_DIR:-target}/arm")
wanted=$(wanted_rust)

# apt with the packages of both architectures, in lists of its own: this machine's know nothing of it.
apt_of_both() {
  "$@" -o "APT::Architectures=$(dpkg --print-architecture),arm64" -o "Dir::State::Lists=$work/lists" \
    -o "Dir::Cache=$work/cache" -o Acquire::Languages=none -o APT::Sandbox::User=root
}

# The names of Debian's compiler differ by suite; the one that is recent enough counts.
unpack_rust() {
  local suffix version std llvm package
  mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/packages"
  say "Looking for a Rust compiler for Arm among Debian's packages"
  apt_of_both apt-get -qq update
  for suffix in "" -web none; do
    [ "$suffix" != none ] || fail "No package has a Rust of $wanted or later for Arm (Debian 12 and 13: cargo-web, of the" \
      "suites for security). With rustup: rustup target add $target"
    version=$(LC_ALL=C apt_of_both apt-cache policy "libstd-rust$suffix-dev:arm64" | sed -n 's/^  Candidate: \([0-9.]*\).*/\1/p')
    if at_least "$wanted" "${version:-0}"; then break; fi
  done
  std=$(apt_of_both apt-cache depends "libstd-rust$suffix-dev" | sed -n "s/.*Depends: \(libstd-rust$suffix-[0-9.]*\)\$/\1/p")
  llvm=$(apt_of_both apt-cache depends "$std" | sed -n 's/.*Depends: \(libllvm[0-9]*\)$/\1/p')
  say "Unpacking rustc$suffix $version and its library for Arm below $work"
  (cd "$work/packages" && apt_of_both apt-get download -qq "rustc$suffix" "libstd-rust$suffix-dev" "$std" "$llvm" \
    "libstd-rust$suffix-dev:arm64" "$std:arm64")
  rm -rf "$work/rust"
  for package in "$work"/packages/*.deb; do dpkg -x "$package" "$work/rust"; done
  rm -rf "$work/packages" "$work/lists" "$work/cache"
}

unpacked_rust() { "$work/rust/usr/bin/rustc" --version 2>/dev/null | cut -d' ' -f2; }

if [ ! -d "$(rustc --print target-libdir --target $target)" ]; then
  export LD_LIBRARY_PATH=$work/rust/usr/lib/$(uname -m)-linux-gnu
  if ! at_least "$wanted" "$(unpacked_rust || echo 0)"; then LD_LIBRARY_PATH='' unpack_rust; fi
  export RUSTC=$work/rust/usr/bin/rustc
fi
"${RUSTC:-rustc}" --version

export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
# The emulated programs must not see the library path of the compiler, nor an Arm library of this machine.
arm=/usr/aarch64-linux-gnu
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64-static -L $arm -E LD_LIBRARY_PATH=$arm/lib"
say "Tests of the signal processing on emulated 64-bit Arm"
# The crate knows nothing of GStreamer, so it builds without an Arm GStreamer.
CARGO_TARGET_DIR=$work/build cargo test --locked -p rustaudio-dsp --target $target "$@"
