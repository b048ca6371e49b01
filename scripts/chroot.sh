# Sourced after setup.sh by the scripts that try the project on bare systems: chroots of Debian, made by
# debootstrap from the mirror that this machine's own apt uses. Needs root.
#
# Everything that is mounted is mounted in a namespace that ends with the command, and nothing of this
# machine is: so a chroot can be removed at any time, and takes nothing with it.

chroots=${CARGO_TARGET_DIR:-$PWD/target}/debian

need_chroots() {
  [ "$(id -u)" -eq 0 ] || fail "A chroot is made as root: run this with sudo."
  need_packages debootstrap util-linux zstd
}

# known_suite SUITE
known_suite() {
  case $1 in
    bookworm | trixie | sid) ;;
    *) fail "No suite of Debian that is tried: $1. There are bookworm (12), trixie (13) and sid." ;;
  esac
}

# repository LABEL: the address at which this machine's apt finds Debian's packages of that label.
repository() {
  apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' "Label: $1" | sort -u | head -1
}

# make_chroot SUITE DIR: a bare system, new at each call; what debootstrap made is kept for the next one.
make_chroot() {
  local suite=$1 dir=$2 base mirror security
  base=$chroots/$suite.tar.zst
  mirror=${DEBIAN_MIRROR:-$(repository Debian)}
  security=${DEBIAN_SECURITY_MIRROR:-$(repository Debian-Security)}
  [ -n "$mirror" ] || fail "This machine's apt knows no mirror of Debian: name one in DEBIAN_MIRROR."
  remove_chroot "$dir"
  mkdir -p "$chroots"
  if [ ! -s "$base" ] || [ -n "$(find "$base" -mtime +7)" ]; then
    say "A bare Debian $suite (debootstrap; its messages are in $chroots/$suite.log)"
    rm -rf --one-file-system "$base.dir"
    # It leaves /proc mounted, in whatever namespace it runs.
    unshare --mount --propagation private debootstrap --variant=minbase "$suite" "$base.dir" "$mirror" \
      >"$chroots/$suite.log" 2>&1 \
      || fail "debootstrap failed: $(tail -1 "$chroots/$suite.log")"
    tar -C "$base.dir" --one-file-system --exclude=./proc/* --exclude=./sys/* --exclude=./dev/* -c . | zstd -q -f -o "$base.new"
    rm -rf --one-file-system "$base.dir"
    mv "$base.new" "$base"
  fi
  mkdir -p "$dir"
  zstd -dcq "$base" | tar -C "$dir" -x
  make_devices "$dir/dev"
  {
    echo "deb $mirror $suite main"
    if [ "$suite" != sid ]; then
      echo "deb $mirror $suite-updates main"
      [ -z "$security" ] || echo "deb $security $suite-security main"
    fi
  } >"$dir/etc/apt/sources.list"
  know_network "$dir"
}

make_devices() { # DEV
  mkdir -p "$1/pts" "$1/shm"
  local name major minor
  while read -r name major minor; do
    [ -e "$1/$name" ] || mknod -m 666 "$1/$name" c "$major" "$minor"
  done <<<"null 1 3
zero 1 5
full 1 7
random 1 8
urandom 1 9
tty 5 0"
  ln -sfn /proc/self/fd "$1/fd"
  ln -sfn /proc/self/fd/0 "$1/stdin"
  ln -sfn /proc/self/fd/1 "$1/stdout"
  ln -sfn /proc/self/fd/2 "$1/stderr"
  ln -sfn pts/ptmx "$1/ptmx"
}

# know_network DIR: name servers, authorities and apt's settings of the network are those of this machine.
know_network() {
  cp /etc/resolv.conf "$1/etc/resolv.conf"
  apt-config dump | grep -E '^Acquire::(https?|Check-)' >"$1/etc/apt/apt.conf.d/99network" || true
  mkdir -p "$1/usr/local/share/ca-certificates"
  find /usr/local/share/ca-certificates -name '*.crt' -exec cp {} "$1/usr/local/share/ca-certificates/" \; 2>/dev/null || true
}

# in_chroot DIR COMMAND...: runs it there, in the folder WORKDIR (/), with a bare environment; all that it
# started ends with it.
in_chroot() {
  local dir=$1 name
  shift
  local environment=(PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8)
  for name in http_proxy https_proxy no_proxy; do
    [ -z "${!name:-}" ] || environment+=("$name=${!name}")
  done
  # An authority of this machine's own is none that pip would know.
  ! ls "$dir"/usr/local/share/ca-certificates/*.crt >/dev/null 2>&1 \
    || environment+=(PIP_CERT=/etc/ssl/certs/ca-certificates.crt)
  unshare --mount --propagation private --pid --fork --kill-child bash -euc '
    dir=$1 workdir=$2; shift 2
    mount -t proc proc "$dir/proc"
    mount -t tmpfs tmpfs "$dir/dev/shm"
    mount -t devpts -o newinstance,ptmxmode=666 devpts "$dir/dev/pts"
    exec chroot "$dir" env -i "$@"
  ' bash "$dir" / "${environment[@]}" bash -c 'cd "$1" && shift && "$@"' bash "${WORKDIR:-/}" "$@" </dev/null
}

# copy_sources DIR: what git knows of this folder, as it is now.
copy_sources() {
  mkdir -p "$1"
  if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
    git ls-files -z --cached --others --exclude-standard | tar --null --ignore-failed-read -T - -c 2>/dev/null | tar -C "$1" -x
  else
    tar --exclude=./target -c . | tar -C "$1" -x
  fi
}

remove_chroot() { [ ! -e "$1" ] || rm -rf --one-file-system "$1"; }
