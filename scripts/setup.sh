# Sourced by the other scripts: installs what is missing on Debian or Ubuntu, checks the rest.
# Names of packages are those of Debian 12 and later.

cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '\n== %s\n' "$*"; }

# need_packages NAME...: installs those that are not there, with apt.
need_packages() {
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  if ! command -v apt-get >/dev/null; then
    echo "Missing: ${missing[*]}. This script installs with apt-get, which is not here: install what they hold by hand." >&2
    exit 1
  fi
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "Missing: ${missing[*]}. Run as root, or install sudo." >&2; exit 1; }
    as_root=(sudo)
  fi
  say "Installing ${missing[*]}"
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# need_rust: cargo of at least the version that Cargo.toml asks for.
need_rust() {
  [ -f "${HOME:-}/.cargo/env" ] && . "${HOME:-}/.cargo/env"
  local wanted found
  wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml | head -1)
  found=$(rustc --version 2>/dev/null | cut -d' ' -f2) || found=
  if [ "$(printf '%s\n' "$wanted" "${found:-0}" | sort -V | head -1)" != "$wanted" ]; then
    echo "Rust $wanted or later is needed, found ${found:-none}. Get it from https://rustup.rs:" >&2
    echo "  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh" >&2
    exit 1
  fi
}

# What building and running the elements takes. The interpreter's library carries its version in
# its package's name, so Python comes first.
need_runtime() {
  need_packages gcc libc6-dev pkg-config libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev \
    gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good \
    alsa-utils python3 python3-numpy
  local python
  python=libpython$(/usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  # Some releases name the package otherwise; what counts is the library.
  /sbin/ldconfig -p | grep -q "$python" || need_packages "$python"
}

# need_plugin_in DIR PROFILE: a folder with this build's plugin file alone, for GST_PLUGIN_PATH,
# since GStreamer looks into every file below that path.
need_plugin_in() {
  mkdir -p "$1"
  cp "${CARGO_TARGET_DIR:-target}/$2/libgstrustaudio.so" "$1/"
}
