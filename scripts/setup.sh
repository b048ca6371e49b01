# Sourced by the other scripts. need_* look for what a script needs; set_up then installs what is
# missing on Debian or Ubuntu, all at once, after naming it. Names of packages are those of Debian 12
# and later.

cd "$(dirname "${BASH_SOURCE[0]}")/.."

missing_packages=()
# Rust's tools that the packages are to bring: "cargo rustc", and "fmt", "clippy".
missing_rust=()
# Whether the interpreter's library has to be looked up once its version is known.
missing_libpython=

say() { printf '\n== %s\n' "$*"; }

fail() { printf '%s\n' "$@" >&2; exit 1; }

# help_asked [ARGUMENT]: if it is --help, prints the comment at the head of the script and ends it.
help_asked() {
  [[ ${1-} =~ ^(-h|--help)$ ]] || return 0
  sed -n '2,/^[^#]/ { s/^# \{0,1\}//p; }' "scripts/$(basename "$0")"
  exit 0
}

# need_space GIGABYTES FOLDER: where it is going to be, or the nearest folder above that there is.
need_space() {
  local folder=$2 free
  while [ ! -d "$folder" ]; do folder=$(dirname "$folder"); done
  free=$(df -Pk "$folder" | awk 'NR == 2 { print int($4 / 1e6) }')
  [ "$free" -ge "$1" ] || fail "$1 GB are needed in $folder, and $free are free: make room there${3:+, or $3}."
}

# need_packages NAME...
need_packages() {
  local package
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing_packages+=("$package")
  done
}

# need_rust [fmt] [clippy]: cargo of at least the version that Cargo.toml asks for.
need_rust() {
  if [ -f "${HOME:-}/.cargo/env" ]; then . "${HOME:-}/.cargo/env"; fi
  local wanted found tool
  wanted=$(wanted_rust)
  found=$(rustc --version 2>/dev/null | cut -d' ' -f2) || found=
  if command -v cargo >/dev/null && at_least "$wanted" "${found:-0}"; then
    for tool in "$@"; do
      cargo "$tool" --version >/dev/null 2>&1 || missing_rust+=("$tool")
    done
  else
    missing_rust=(cargo "$@")
  fi
  [ ${#missing_rust[@]} -gt 0 ] && command -v rustup >/dev/null || return 0
  [ "${missing_rust[0]}" = cargo ] || fail "cargo ${missing_rust[*]} is missing: rustup component add rustfmt clippy"
  fail "Rust $wanted or later is needed, found ${found:-none}: rustup update stable && rustup default stable"
}

wanted_rust() { sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml | head -1; }

# at_least LEAST VERSION
at_least() { [ "$(printf '%s\n' "$1" "$2" | sort -V | head -1)" = "$1" ]; }

# What building and running the elements takes.
need_runtime() {
  need_packages gcc libc6-dev pkg-config libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev \
    gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good \
    alsa-utils python3 python3-numpy
  # Some releases name the package otherwise; what counts is the library.
  local python
  # Not by a pipe: ldconfig fails where nobody reads to its end.
  python=$(libpython) && grep -q "$python" <<<"$(/sbin/ldconfig -p)" || missing_libpython=yes
}

# The name of the interpreter's library, which is its package's name too.
libpython() { /usr/bin/python3 -c 'import sys; print("libpython%d.%d" % sys.version_info[:2])' 2>/dev/null; }

# The libraries that benches/resample_peers.rs, benches/resample.rs and benches/convert.rs load to compare with, and
# the detector of tools/cold_streams.rs and tools/live_pipelines.rs.
need_peers() {
  # Its name has a number that differs by release.
  local swresample
  swresample=$(apt-cache --names-only search '^libswresample[0-9]+$' 2>/dev/null | cut -d' ' -f1 | sort -V | tail -1) || true
  need_packages libsoxr0 "${swresample:-libswresample4}" libzita-resampler1 libspeexdsp1 libsamplerate0 \
    libspa-0.2-modules gstreamer1.0-plugins-bad
}

# Installs what the need_* before it found missing.
set_up() {
  [ -n "${missing_packages[*]-}${missing_rust[*]-}$missing_libpython" ] || return 0
  local names="${missing_packages[*]-}${missing_rust[*]:+ Rust}${missing_libpython:+ libpython3}"
  command -v apt-get >/dev/null \
    || fail "Missing: ${names# }. This script installs with apt-get, which is not here: install what they hold by hand."
  local as_root=() log trouble
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || fail "Missing: ${names# }. Run as root, or install sudo."
    as_root=(sudo)
  fi
  log=$(mktemp)
  say "Looking for packages: ${names# }"
  # Where lists cannot be had, older ones may do.
  "${as_root[@]}" apt-get update -qq >"$log" 2>&1 || true
  trouble=$(network_trouble "$log")
  name_rust "$trouble"
  [ -z "$missing_libpython" ] || missing_packages+=("$(libpython || packaged_libpython)")
  plan_packages "$log"
  say "Installing ${missing_packages[*]}${replaced:+, in place of $replaced}: $download MB to download"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing_packages[@]}" >"$log" 2>&1 || apt_failed "$log"
  rm -f "$log"
  missing_packages=() missing_rust=() missing_libpython=
  hash -r
}

# name_rust TROUBLE: adds the packages that hold a recent Rust to missing_packages.
name_rust() {
  [ ${#missing_rust[@]} -gt 0 ] || return 0
  local suffix version best= wanted
  wanted=$(wanted_rust)
  for suffix in "" -web; do
    version=$(LC_ALL=C apt-cache policy "cargo$suffix" 2>/dev/null | sed -n 's/^  Candidate: \([0-9.]*\).*/\1/p')
    [ -z "$version" ] || best="$best${best:+, }cargo$suffix $version"
    at_least "$wanted" "${version:-0}" || continue
    if [ "${missing_rust[0]}" = cargo ]; then
      missing_packages+=("cargo$suffix" "rustc$suffix")
      # Without them cargo cannot tell whom it fetches crates from.
      need_packages ca-certificates
    fi
    [[ " ${missing_rust[*]} " != *" fmt "* ]] || missing_packages+=("rustfmt$suffix")
    [[ " ${missing_rust[*]} " != *" clippy "* ]] || missing_packages+=("rust$suffix-clippy")
    return 0
  done
  [ -z "$1" ] || no_network "$1"
  fail "Rust $wanted or later is needed, and this system's packages have ${best:-none}. Get it from https://rustup.rs:" \
    "  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"
}

# The library of the interpreter that would be installed.
packaged_libpython() {
  LC_ALL=C apt-cache depends python3 2>/dev/null | sed -n 's/^ *Depends: \(python3\.[0-9]*\)$/lib\1/p' | head -1
}

# plan_packages LOG: sets `download`, in MB, and `replaced`, the older Rust that has to go.
plan_packages() {
  local plan=(apt-get install -qq --no-install-recommends "${missing_packages[@]}")
  LC_ALL=C "${plan[@]}" -s >>"$1" 2>&1 || apt_failed "$1"
  replaced=$(awk '$1 == "Remv" { printf "%s%s", separator, $2; separator = ", " }' "$1")
  local other
  other=$(awk '$1 == "Remv" && $2 !~ /^(cargo|rustc|rustfmt|rust-clippy)$/ { print $2 }' "$1")
  [ -z "$other" ] || fail "Installing ${missing_packages[*]} would remove ${replaced}: do it by hand if that is all right."
  download=$("${plan[@]}" --print-uris | awk '{ bytes += $3 } END { print int(bytes / 1e6 + 0.5) }')
}

# apt_failed LOG: says in a sentence why apt-get did not install missing_packages.
apt_failed() {
  local trouble reason
  trouble=$(network_trouble "$1")
  [ -z "$trouble" ] || no_network "$trouble"
  reason=$(sed -n 's/^E: *//p' "$1" | head -1)
  fail "apt-get cannot install ${missing_packages[*]}: ${reason:-no reason given} (all of its output: $1)"
}

no_network() { # TROUBLE
  fail "The package servers cannot be reached ($1), so nothing was installed: run this again with a network."
}

# network_trouble FILE: the first complaint in it about the network.
network_trouble() {
  grep -m1 -oE "Temporary failure resolving '[^']*'|Could not (resolve|connect to)[^(]*[^( ]|Cannot initiate the connection to [^ ]*|Network is unreachable|Connection (failed|refused|timed out)|No address associated with hostname" "$1" || true
}

# What Cargo.lock names, for this machine.
fetch_crates() {
  local fetch log
  fetch=(cargo fetch --locked --target "$(rustc -vV | sed -n 's/^host: //p')")
  "${fetch[@]}" --offline -q 2>/dev/null && return
  say "Fetching the crates of Cargo.lock"
  log=$(mktemp)
  if ! "${fetch[@]}" -q 2>"$log"; then
    fail "The crates that Cargo.lock names cannot be fetched ($(grep -v '^warning' "$log" | sed -n '$s/^ *//p')): run this again with a network (all of Cargo's output: $log)."
  fi
  rm -f "$log"
}

# need_plugin_in DIR PROFILE: a folder with this build's plugin file alone, for GST_PLUGIN_PATH,
# since GStreamer looks into every file below that path.
need_plugin_in() {
  mkdir -p "$1"
  cp "${CARGO_TARGET_DIR:-target}/$2/libgstrustaudio.so" "$1/"
}

# need_cargo_tool NAME VERSION [CARGO_OPTION...]: cargo NAME, below the target folder, unless there is one of
# that version; takes minutes once.
need_cargo_tool() {
  local tools=${CARGO_TARGET_DIR:-$PWD/target}/tools command=${1#cargo-}
  # `cargo c` is cargo's own.
  [ "$command" != c ] || command=cinstall
  export PATH=$tools/bin:$PATH
  cargo "$command" --version 2>/dev/null | grep -qwF "$2" && return
  say "Installing $1 $2 below $tools: a few minutes, this once"
  cargo install -q --locked --root "$tools" "$1@$2" "${@:3}" \
    || fail "$1 cannot be installed: run this again with a network, or install version $2 by hand."
}

# need_venv DIR [--system-site-packages] [PIP_ARGUMENTS]...: a virtualenv of the system's Python, into which pip has
# installed what each of PIP_ARGUMENTS names, a word for each call. One that another Python or other requirements have
# left there, or that lay elsewhere when it was made, is made anew.
need_venv() {
  local dir=$1 options=() wanted arguments word
  shift
  if [ "${1-}" = --system-site-packages ]; then options=("$1") && shift; fi
  wanted=$(
    realpath -m "$dir"
    /usr/bin/python3 --version
    printf '%s\n' "${options[@]}" "$@"
    for word in $*; do [ ! -f "$word" ] || cat "$word"; done
  )
  [ "$wanted" != "$(cat "$dir/wanted" 2>/dev/null)" ] || return 0
  rm -rf "$dir"
  /usr/bin/python3 -m venv "${options[@]}" "$dir" || return
  for arguments in "$@"; do
    "$dir/bin/pip" -q --disable-pip-version-check install $arguments || return
  done
  echo "$wanted" >"$dir/wanted"
}

# list_sources: what git knows of this folder, or all there is but what was built, each name ended by a zero byte. Of
# another repository in it git tells the folder alone: it is no part of this one.
list_sources() {
  local file
  if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
    git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
      if [ -L "$file" ] || [ ! -d "$file" ]; then printf '%s\0' "$file"; fi
    done
  else
    find . -path ./target -prune -o ! -type d -print0
  fi
}

# sources_id: another word for each state of the sources, to keep with what is built of them.
sources_id() {
  # Files that git still knows may be gone.
  { list_sources | xargs -0 sha256sum 2>/dev/null || true; } | sha256sum | cut -d' ' -f1
}

# for_others: what is compiled from now on has no path of this machine in it.
for_others() {
  local separator=$'\x1f'
  CARGO_ENCODED_RUSTFLAGS="--remap-path-prefix=$PWD=/rustaudio"
  CARGO_ENCODED_RUSTFLAGS+="$separator--remap-path-prefix=$(realpath "${CARGO_HOME:-$HOME/.cargo}")=/cargo"
  CARGO_ENCODED_RUSTFLAGS+="$separator--remap-path-prefix=$(rustc --print sysroot)=/rust"
  export CARGO_ENCODED_RUSTFLAGS
}
