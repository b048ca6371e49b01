#!/usr/bin/env bash
# Installs the Debian packages on a bare system, runs speech through all four elements, upgrades them and
# purges them.
#
#   scripts/test_packages.sh [--arch arm64] SUITE...     bookworm (12), trixie (13), sid; as root
#
# The packages are made by scripts/package.sh unless those that it made last are of these sources. Those for
# 64-bit Arm are made by scripts/package_arm64.sh, and run in an emulator, where there is no such processor. The systems
# are chroots made by debootstrap (from the mirror of this machine's apt, or DEBIAN_MIRROR) below target/debian.
set -euo pipefail
. "$(dirname "$0")/setup.sh"
. scripts/chroot.sh
. scripts/cross.sh

help_asked "${1-}"
arch_asked "$@"
shift "$arch_words"
[ $# -ge 1 ] || fail "Which releases? bookworm (12), trixie (13), sid: scripts/test_packages.sh SUITE..."
for suite in "$@"; do known_suite "$suite"; done
need_chroots "$arch"
need_packages lintian dpkg-dev
need_space 3 "$chroots"
set_up

packages=${CARGO_TARGET_DIR:-$PWD/target}/packages
[ "$arch" = "$(dpkg --print-architecture)" ] || packages+=-$arch
if [ "$(cat "$packages/sources" 2>/dev/null)" != "$(sources_id)" ]; then
  if [ "$arch" = "$(dpkg --print-architecture)" ]; then scripts/package.sh; else scripts/package_arm64.sh; fi
fi
debs=("$packages"/*.deb)

say "Lintian"
# Whose address it is, whoever makes the packages decides.
lintian --allow-root --fail-on error --suppress-tags bogus-mail-host,bogus-mail-host-in-debian-changelog "${debs[@]}"

# What follows runs in the chroot.
cat >"$packages/try.sh" <<'E2'
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
ours=(gstreamer1.0-rustaudio python3-gstrustaudio)
install() { apt-get install -y -qq --no-install-recommends "$@" >/tmp/apt.log 2>&1 || { cat /tmp/apt.log; exit 1; }; }

apt-get update -qq
install gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good alsa-utils python3 python3-numpy
python=$(python3 -c 'import sys; print("libpython%d.%d" % sys.version_info[:2])')
install "$python" python3-gi gir1.2-gstreamer-1.0
touch /tmp/before
started=$(date +%s%N)
install /packages/*_*.deb
echo "installed in $((($(date +%s%N) - started) / 1000000)) ms, $(dpkg-query -W -f='${Installed-Size} ' "${ours[@]}")kB"

speech() {
  gst-inspect-1.0 rustaudio | grep -E '^ +(pypipelinenode|rust[a-z]+):|Version|tracers?:'
  gst-launch-1.0 -m filesrc location=/usr/share/sounds/alsa/Front_Center.wav ! wavparse ! rustaudioconvert \
    ! audio/x-raw,format=F32LE,channels=1 ! rustresample ! audio/x-raw,rate=16000 ! rustvad \
    ! pypipelinenode module=/usr/share/doc/gstreamer1.0-rustaudio/examples/nodes/gain.py class=Gain on-failure=error \
    ! fakesink >/tmp/messages 2>&1 || { tail -5 /tmp/messages; exit 1; }
  local finals segments
  finals=$(grep -c 'rustaudio-metrics.*status=(string)ok.*final=(boolean)true' /tmp/messages || true)
  segments=$(grep -c 'rustvad, speech=(boolean)true' /tmp/messages || true)
  echo "$finals elements told their metrics, $segments segments of speech"
  [ "$finals" -eq 4 ] && [ "$segments" -gt 0 ]
  python3 -c '
import gstrustaudio, numpy
assert gstrustaudio.resample(numpy.zeros((48000, 2), numpy.float32), 48000, 16000).shape == (16000, 2)
assert gstrustaudio.plugin_path().exists()'
  gstrustaudio run --json /tmp/metrics.json -- audiotestsrc num-buffers=9 ! rustaudioconvert ! fakesink >/tmp/run 2>&1 \
    || { cat /tmp/run; exit 1; }
  grep -q rustaudioconvert /tmp/metrics.json
}

speech
echo "upgrading"
install /packages/newer/*.deb
dpkg-query -W "${ours[@]}"
speech

files=$(dpkg -L "${ours[@]}")
apt-get purge -y -qq "${ours[@]}" >/tmp/apt.log 2>&1 || { cat /tmp/apt.log; exit 1; }
left=$(while read -r file; do [ -d "$file" ] || [ ! -e "$file" ] || echo "$file"; done <<<"$files"
  find /usr /etc /var -newer /tmp/before \( -name '*rustaudio*' \) -not -path '/var/log/*')
[ -z "$left" ] || { echo "left after purging: $left"; exit 1; }
! gst-inspect-1.0 rustaudio >/dev/null 2>&1 || { echo "GStreamer still knows the plugin"; exit 1; }
echo "purged, nothing left"
E2

# The same packages as their next revision.
rm -rf "$packages/newer"
mkdir "$packages/newer"
for deb in "${debs[@]}"; do
  dpkg-deb -R "$deb" "$packages/newer/files"
  sed -i 's/^Version: .*/&+next/' "$packages/newer/files/DEBIAN/control"
  dpkg-deb -b --root-owner-group -Zgzip "$packages/newer/files" "$packages/newer/" >/dev/null
  rm -rf "$packages/newer/files"
done

for suite in "$@"; do
  root=$chroots/$suite-packages-$arch
  make_chroot "$suite" "$root" "$arch"
  mkdir -p "$root/packages"
  cp -r "${debs[@]}" "$packages/newer" "$packages/try.sh" "$root/packages/"
  say "Debian $suite, $arch"
  in_chroot "$root" bash /packages/try.sh || fail "Debian $suite, $arch: failed; it is in $root as it was left."
  remove_chroot "$root"
done
