#!/usr/bin/env bash
# Runs every test on a bare system of another release of Debian, Rust of its own packages included.
#
#   scripts/test_debian.sh [--resume] SUITE [COMMAND...]    bookworm (12), trixie (13) or sid; as root
#
# COMMAND is what runs in the project's folder there; without one, scripts/test.sh. The system is a chroot
# made by debootstrap (from the mirror of this machine's apt, or DEBIAN_MIRROR) below target/debian. It
# takes about 9 GB and is removed when all went well; a run that failed is left as it is, to look at, and --resume
# runs in it once more, with the sources as they are now.
set -euo pipefail
. "$(dirname "$0")/setup.sh"
. scripts/chroot.sh

help_asked "${1-}"
resume=
if [ "${1-}" = --resume ]; then
  resume=yes
  shift
fi
[ $# -ge 1 ] || fail "Which release? bookworm (12), trixie (13) or sid: scripts/test_debian.sh SUITE [COMMAND...]"
suite=$1
shift
[ $# -gt 0 ] || set -- scripts/test.sh
known_suite "$suite"
need_chroots
need_space 10 "$chroots"
set_up

root=$chroots/$suite
if [ -z "$resume" ] || [ ! -x "$root/bin/bash" ]; then make_chroot "$suite" "$root"; fi
copy_sources "$root/src"
say "Debian $suite: $*"
started=$SECONDS
status=0
WORKDIR=/src in_chroot "$root" "$@" || status=$?
in_chroot "$root" sh -c '. /etc/os-release; echo "$PRETTY_NAME"; gst-inspect-1.0 --version | sed -n 2p; python3 --version; rustc --version' 2>/dev/null || true
say "Debian $suite: exit code $status after $((SECONDS - started)) s"
[ "$status" -eq 0 ] || fail "What is left of it is in $root; scripts/test_debian.sh --resume $suite goes on there."
remove_chroot "$root"
