#!/usr/bin/env bash
# Runs each command of README.md, CONTRIBUTING.md and docs/ once on a bare system, by scripts/docs_commands.py,
# and leaves the table of exit codes in target/docs-commands.md.
#
#   scripts/test_docs.sh [--resume] [SUITE [TEXT]]
#
# SUITE is bookworm (12, the default), trixie (13) or sid; with TEXT, only the commands that have it in them or in the
# name of their document are run. As root. The system is a chroot made by debootstrap below target/debian, and stays where
# not all went well: --resume then goes on in it, with the sources as they are now, and runs the documents that have not
# gone well there yet.
set -euo pipefail
. "$(dirname "$0")/setup.sh"
. scripts/chroot.sh

help_asked "${1-}"
resume=
if [ "${1-}" = --resume ]; then
  resume=--resume
  shift
fi
suite=${1:-bookworm}
known_suite "$suite"
need_chroots
need_space 10 "$chroots"
set_up

root=$chroots/$suite-docs
if [ -z "$resume" ] || [ ! -x "$root/bin/bash" ]; then make_chroot "$suite" "$root"; fi
copy_sources "$root/src"
copy_tools "$root/src"
say "Debian $suite: commands of the documents"
status=0
# What the documents take for granted: sudo where one is not root, an interpreter for this script, a yes for apt.
echo 'APT::Get::Assume-Yes "true";' >"$root/etc/apt/apt.conf.d/99yes"
WORKDIR=/src in_chroot "$root" env DEBIAN_FRONTEND=noninteractive bash -euc '
  # An earlier run may have been stopped while it installed.
  dpkg --configure -a >/dev/null
  apt-get update -qq
  log=$(apt-get install -qq --no-install-recommends sudo python3 2>&1) || { echo "$log"; exit 1; }
  scripts/docs_commands.py --table target/docs-commands.md $2 --only "$1"' bash "${2-}" "$resume" || status=$?
[ ! -e "$root/src/target/docs-commands.md" ] || cp "$root/src/target/docs-commands.md" "${CARGO_TARGET_DIR:-target}/"
[ "$status" -eq 0 ] || fail "Not all is as it should be; the system is in $root as it was left."
remove_chroot "$root"
