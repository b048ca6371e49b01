#!/usr/bin/env bash
# Makes the Debian packages gstreamer1.0-rustaudio and python3-gstrustaudio, their debug symbols apart, and
# prints their paths. The same sources and the same compiler give the same bytes.
#
#   scripts/package.sh [--arch ARCH] [REVISION]
#
# ARCH is amd64 or arm64: this machine's, or arm64 on amd64 by a cross compiler. REVISION counts the packages of
# one version: 1, the default, 2 …
# DEBFULLNAME and DEBEMAIL are the maintainer's (else those of git, else this user's here), PACKAGE_ORIGIN the address that
# gst-inspect-1.0 shows.
set -euo pipefail
. "$(dirname "$0")/setup.sh"
. scripts/cross.sh
help_asked "${1-}"

arch_asked "$@"
shift "$arch_words"
revision=${1:-1}
target=${CARGO_TARGET_DIR:-$PWD/target}
# apt lists the first line alone, and cargo-deb breaks what is longer.
for manifest in Cargo.toml python/Cargo.toml; do
  description=$(sed -n 's/^description = "\(.*\)"/\1/p' "$manifest" | head -1)
  [ ${#description} -lt 80 ] || fail "$manifest: the description has ${#description} characters, and a package's up to 79."
done
need_rust
need_build_for "$arch"
out=$target/packages
[ ${#cargo_for[@]} -eq 0 ] || out+=-$arch
need_packages dpkg-dev binutils git
need_space 3 "$target"
{
  set_up_cross
  fetch_crates
  name=${DEBFULLNAME:-$(git config user.name || true)}
  address=${DEBEMAIL:-$(git config user.email || echo "$(id -un)@$(hostname)")}
  maintainer="${name:-The gst-plugin-rustaudio authors} <$address>"
  need_cargo_tool cargo-deb 3.8.0
  # What is built from, not when: a date in a file would make it another one each time.
  SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y Cargo.toml)}
  export SOURCE_DATE_EPOCH
  for_others
  sources=$(sources_id)
  cargo build --locked --workspace --profile dist "${cargo_for[@]}"

  version=$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"/\1/p' Cargo.toml)
  rm -rf "$out"
  mkdir -p "$out"
  while read -r crate package multiarch; do
    cat >"$target/debian-changelog" <<EOF
$package ($version-$revision) unstable; urgency=medium

  * See /usr/share/doc/$package/NEWS.gz.

 -- $maintainer  $(date -u -R -d "@$SOURCE_DATE_EPOCH")
EOF
    cargo deb --no-build --profile dist "${cargo_for[@]}" --dbgsym --compress-debug-symbols=zlib --deb-revision "$revision" \
      --maintainer "$maintainer" --multiarch "$multiarch" -p "$crate" -o "$out/"
  done <<<"gst-plugin-rustaudio gstreamer1.0-rustaudio same
rustaudio-python python3-gstrustaudio none"
  echo "$sources" >"$out/sources"
} >&2
ls "$out"/*.*deb
