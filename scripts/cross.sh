# Sourced after setup.sh by the scripts that can build for another processor than this machine's, with
# Debian's own packages of both (multiarch).

# What cargo is told besides, and what stands before the names of binutils; empty for this machine's own.
cargo_for=()
tools_for=

# arch_asked ARGUMENT...: sets arch, to what follows --arch or to this machine's, and arch_words, how many
# arguments that were.
arch_asked() {
  arch=$(dpkg --print-architecture)
  arch_words=0
  [ "${1-}" = --arch ] || return 0
  case ${2-} in
    amd64 | arm64) arch=$2 arch_words=2 ;;
    *) fail "No processor that packages are made for: ${2:-none is named}. There are amd64 and arm64." ;;
  esac
}

# need_build_for ARCH: what building takes.
need_build_for() {
  if [ "$1" = "$(dpkg --print-architecture)" ]; then
    need_runtime
    return
  fi
  [ "$1" = arm64 ] || fail "Packages for $1 are made on a machine of its own kind."
  dpkg --print-foreign-architectures | grep -qx "$1" \
    || fail "apt does not look for packages of $1 here, which building for it takes: dpkg --add-architecture $1" \
      "(or in a chroot, which scripts/package_arm64.sh makes)"
  cargo_for=(--target aarch64-unknown-linux-gnu)
  tools_for=aarch64-linux-gnu-
  need_packages gcc libc6-dev pkg-config gcc-aarch64-linux-gnu "libgstreamer-plugins-base1.0-dev:$1"
}

# set_up_cross: set_up, and the compiler's library for the other processor.
set_up_cross() {
  set_up
  [ ${#cargo_for[@]} -gt 0 ] || return 0
  local triple=${cargo_for[1]} suffix
  if [ ! -d "$(rustc --print target-libdir "${cargo_for[@]}")" ]; then
    ! command -v rustup >/dev/null || fail "This Rust has no library for $triple: rustup target add $triple"
    suffix=$(dpkg-query -S "$(realpath "$(command -v rustc)")" | sed -n 's/^rustc\(-web\)\{0,1\}:.*/\1/p')
    need_packages "libstd-rust$suffix-dev:arm64"
    set_up
  fi
  export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=${tools_for}gcc
  export PKG_CONFIG_ALLOW_CROSS=1 PKG_CONFIG_LIBDIR=/usr/lib/aarch64-linux-gnu/pkgconfig:/usr/share/pkgconfig
}
