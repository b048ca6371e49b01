# Sourced after setup.sh by the scripts that try the project on bare systems: chroots of Debian, made by
# debootstrap from the mirror that this machine's own apt uses. Needs root.
#
# Everything that is mounted is mounted in a namespace that ends with the command, and nothing of this
# machine is: so a chroot can be removed at any time, and takes nothing with it.

chroots=${CARGO_TARGET_DIR:-$PWD/target}/debian

# need_chroots [ARCH]
need_chroots() {
  [ "$(id -u)" -eq 0 ] || fail "A chroot is made as root: run this with sudo."
  need_packages debootstrap util-linux zstd
  [ "${1:-$(dpkg --print-architecture)}" = "$(dpkg --print-architecture)" ] || need_packages qemu-user-static
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

# make_chroot SUITE DIR [ARCH]: a bare system, new at each call; what debootstrap made is kept for the next
# one. ARCH is amd64 or arm64, this machine's if it is not given.
make_chroot() {
  local suite=$1 dir=$2 native arch base mirror security
  native=$(dpkg --print-architecture)
  arch=${3:-$native}
  base=$chroots/$suite
  [ "$arch" = "$native" ] || base+=-$arch
  base+=.tar.zst
  mirror=${DEBIAN_MIRROR:-$(repository Debian)}
  security=${DEBIAN_SECURITY_MIRROR:-$(repository Debian-Security)}
  [ -n "$mirror" ] || fail "This machine's apt knows no mirror of Debian: name one in DEBIAN_MIRROR."
  remove_chroot "$dir"
  mkdir -p "$chroots"
  if [ ! -s "$base" ] || [ -n "$(find "$base" -mtime +7)" ]; then
    local log=${base%.tar.zst}.log
    say "A bare Debian $suite, $arch (debootstrap; its messages are in $log)"
    rm -rf --one-file-system "$base.dir"
    bootstrap "$suite" "$arch" "$base.dir" "$mirror" >"$log" 2>&1 || fail "debootstrap failed: $(tail -1 "$log")"
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

bootstrap() { # SUITE ARCH DIR MIRROR
  local options=(--variant=minbase)
  [ "$2" = "$(dpkg --print-architecture)" ] || options+=(--foreign "--arch=$2")
  # It leaves /proc mounted, in whatever namespace it runs.
  unshare --mount --propagation private debootstrap "${options[@]}" "$1" "$3" "$4" || return
  is_foreign "$3" || return 0
  # What cannot be done in a namespace of users is done already.
  printf '%s() { :; }\n' check_sane_mount setup_proc >>"$3/debootstrap/functions"
  in_chroot "$3" /debootstrap/debootstrap --second-stage
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
  local around=(unshare --mount --propagation private --pid --fork --kill-child) emulator=
  ! is_foreign "$dir" || around=(in_user_namespace) emulator=/usr/bin/qemu-aarch64-static
  "${around[@]}" bash -euc '
    dir=$1 emulator=$2; shift 2
    mount -t proc proc "$dir/proc"
    mount -t tmpfs tmpfs "$dir/dev/shm"
    mount -t devpts -o newinstance,ptmxmode=666 devpts "$dir/dev/pts"
    if [ -n "$emulator" ]; then
      mount -t binfmt_misc binfmt_misc "$dir/proc/sys/fs/binfmt_misc"
      # Files that begin as 64-bit Arm programs do; F: the emulator is opened here, outside of the chroot.
      elf="\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
      mask="\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
      printf %s ":aarch64:M::$elf:$mask:$emulator:F" >"$dir/proc/sys/fs/binfmt_misc/register"
    fi
    exec chroot "$dir" env -i "$@"
  ' bash "$dir" "$emulator" "${environment[@]}" bash -c 'cd "$1" && shift && "$@"' bash "${WORKDIR:-/}" "$@" </dev/null
}

# is_foreign DIR: whether the programs of that system are of another processor than this machine's.
is_foreign() {
  local machine
  machine=$(od -An -tx1 -j18 -N1 "$1/usr/bin/dash" | tr -d ' ')
  case $(uname -m)-$machine in x86_64-3e | aarch64-b7) return 1 ;; esac
}

# in_user_namespace COMMAND...: in namespaces of its own, that of users too, with the same users: what it tells
# the kernel of foreign programs (Linux 6.7) holds in there alone.
in_user_namespace() {
  local gate pid open status=0
  gate=$(mktemp -u)
  mkfifo "$gate"
  unshare --user --mount --propagation private --pid --fork --kill-child \
    bash -euc 'read -r _ <"$1"; shift; exec "$@"' bash "$gate" "$@" &
  pid=$!
  while [ "$(readlink "/proc/$pid/ns/user")" = "$(readlink /proc/self/ns/user)" ]; do sleep 0.02; done
  # For reading, too: it waits for no reader, which there may never be.
  exec {open}<>"$gate"
  echo 0 0 4294967295 | tee "/proc/$pid/uid_map" "/proc/$pid/gid_map" >&"$open" \
    || { rm -f "$gate"; fail "This kernel gives no namespace of users, in which foreign programs could run."; }
  wait "$pid" || status=$?
  exec {open}>&-
  rm -f "$gate"
  return "$status"
}

# copy_sources DIR: what git knows of this folder, as it is now, in place of what was copied there before; whatever
# else is there stays. What has changed gets the date of now: one that was changed before the last build there began,
# and is copied after it, would be taken for built. What has not changed need not be built again.
copy_sources() {
  local list=$1/target/copied-sources new=$1/target/new-sources file
  mkdir -p "$new"
  list_sources | sort -z >"$list.new"
  [ ! -e "$list" ] || comm -z -23 "$list" "$list.new" | (cd "$1" && xargs -0 rm -f --)
  mv "$list.new" "$list"
  tar --null --ignore-failed-read -T "$list" -c 2>/dev/null | tar -C "$new" -xm
  while IFS= read -r -d '' file; do
    if [ -L "$new/$file" ]; then
      # What it leads to may have been moved already.
      [ "$(readlink "$new/$file")" = "$(readlink "$1/$file")" ] && continue
    elif [ ! -L "$1/$file" ] && cmp -s "$new/$file" "$1/$file"; then
      # Git knows of a file's mode whether it is a program.
      if [ -x "$new/$file" ]; then chmod a+x "$1/$file"; elif [ -x "$1/$file" ]; then chmod a-x "$1/$file"; fi
      continue
    elif [ ! -e "$new/$file" ]; then
      # Git still knows of it.
      continue
    fi
    mkdir -p "$(dirname "$1/$file")"
    mv -fT "$new/$file" "$1/$file"
  done <"$list"
  rm -rf "$new"
}

# copy_tools DIR: programs of others that scripts compile once, below the target folder of the sources there: what
# was compiled here spares a quarter of an hour.
copy_tools() {
  mkdir -p "$1/target"
  [ ! -d "${CARGO_TARGET_DIR:-target}/tools" ] || cp -r "${CARGO_TARGET_DIR:-target}/tools" "$1/target/"
}

remove_chroot() { [ ! -e "$1" ] || rm -rf --one-file-system "$1"; }
