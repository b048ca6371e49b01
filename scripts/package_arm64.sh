#!/usr/bin/env bash
# Makes the Debian packages and the wheel for 64-bit Arm on another processor, in a chroot of Debian 12 with the
# cross compiler and the libraries of both, and prints their paths. scripts/test_packages.sh --arch arm64 tries
# the packages, in an emulator.
#
#   scripts/package_arm64.sh     as root; the variables of scripts/package.sh have their meaning here, too
#
# On Arm itself scripts/package.sh and scripts/wheel.sh do this.
set -euo pipefail
. "$(dirname "$0")/setup.sh"
. scripts/chroot.sh
help_asked "${1-}"

need_chroots
need_packages git
target=${CARGO_TARGET_DIR:-$PWD/target}
need_space 6 "$target"
{
  set_up
  root=$chroots/cross-arm64
  make_chroot bookworm "$root"
  sources=$(sources_id)
  copy_sources "$root/src"
  copy_tools "$root/src"
  say "Packages and wheel for arm64, in $root"
  WORKDIR=/src in_chroot "$root" env \
    DEBFULLNAME="${DEBFULLNAME:-$(git config user.name || true)}" DEBEMAIL="${DEBEMAIL:-$(git config user.email || true)}" \
    SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y Cargo.toml)}" \
    ${PACKAGE_ORIGIN+PACKAGE_ORIGIN="$PACKAGE_ORIGIN"} bash -euc '
      dpkg --add-architecture arm64
      scripts/package.sh --arch arm64
      scripts/wheel.sh --arch arm64 dist' || fail "Failed; it is in $root as it was left."
  rm -rf "$target/packages-arm64" "$target/wheels/dist-arm64"
  mkdir -p "$target/wheels"
  cp -r "$root/src/target/packages-arm64" "$target/"
  # Git is not in there, so that it may count files otherwise.
  echo "$sources" >"$target/packages-arm64/sources"
  cp -r "$root/src/target/wheels/dist-arm64" "$target/wheels/"
  remove_chroot "$root"
} >&2
ls "$target"/packages-arm64/*.*deb "$target"/wheels/dist-arm64/*.whl
