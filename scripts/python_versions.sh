#!/usr/bin/env bash
# Runs a node with each of several Pythons, in the three ways in which the plugin meets one, and
# prints a table. For trying a release by hand: it wants Pythons that a machine rarely has.
#   scripts/python_versions.sh PYTHON...    e.g. ~/.pyenv/versions/3.*/bin/python3
# Each PYTHON gets a virtualenv of its own with numpy from PyPI, in a temporary folder.
#   launch    gst-launch-1.0, that Python's libpython loaded by the plugin (python-home)
#   host      a program run by that Python, which has started GStreamer through ctypes
#   process   isolation=process in a gst-launch-1.0 that has no Python itself
set -uo pipefail
[ $# -gt 0 ] || { sed -n '2,9s/^# \?//p' "$0"; exit 2; }
cd "$(dirname "$0")/.."
cargo build --locked || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/plugins"
cp "${CARGO_TARGET_DIR:-target}/debug/libgstrustaudio.so" "$work/plugins/"
export GST_PLUGIN_PATH=$work/plugins GST_REGISTRY=$work/registry G_DEBUG=fatal-warnings
unset GST_PLUGIN_PATH_1_0 VIRTUAL_ENV CONDA_PREFIX PYTHONPATH

cat >"$work/probe.py" <<'EOF'
import sys
import threading

import numpy as np

local = threading.local()


class Probe:
    """Halves its input, holds the last buffer back, fails once; says where it runs."""

    def start(self, info):
        self.held, self.calls = [], 0

    def process(self, audio, ctx):
        self.calls += 1
        if self.calls == 3:
            raise TimeoutError("once")
        local.count = getattr(local, "count", 0) + 1
        ctx.post("probe", version=sys.version.split()[0], numpy=np.__version__, count=local.count,
                 shape=str(audio.shape), prefix=sys.prefix)
        self.held.append(audio * np.float32(0.5))
        return [] if len(self.held) < 2 else self.held.pop(0)

    def drain(self):
        return self.held
EOF
cat >"$work/host.py" <<'EOF'
"""Plays argv[1] with GStreamer through ctypes and prints its messages as gst-launch -m does."""
import ctypes
import sys

gst = ctypes.CDLL("libgstreamer-1.0.so.0")
for name in ("gst_parse_launch", "gst_element_get_bus", "gst_bus_timed_pop",
             "gst_message_get_structure"):
    getattr(gst, name).restype = ctypes.c_void_p
gst.gst_structure_to_string.restype = ctypes.c_char_p
gst.gst_init(None, None)
pipeline = ctypes.c_void_p(gst.gst_parse_launch(sys.argv[1].encode(), None))
bus = ctypes.c_void_p(gst.gst_element_get_bus(pipeline))
gst.gst_element_set_state(pipeline, 4)
while True:
    message = ctypes.c_void_p(gst.gst_bus_timed_pop(bus, ctypes.c_uint64(30 * 10**9)))
    assert message, "nothing came"
    # GstMessage: a GstMiniObject of 64 bytes, then the type.
    kind = ctypes.c_uint.from_address(message.value + 64).value
    structure = gst.gst_message_get_structure(message)
    if structure:
        print(gst.gst_structure_to_string(ctypes.c_void_p(structure)).decode())
    if kind & 3:
        break
gst.gst_element_set_state(pipeline, 1)
print("sys is the host's:", "probe" in sys.modules)
EOF

line() { # PROPERTIES
  echo "audiotestsrc num-buffers=5 samplesperbuffer=480 ! audio/x-raw,format=F32LE,channels=2,rate=48000" \
    "! pypipelinenode class=Probe module=$work/probe.py initial-backoff=1000000 ${1-} ! fakesink"
}

verdict() { # VERSION OUTPUT EXTRA...
  local version=$1 out=$2 want
  shift 2
  # Four calls at first, one of them after a retry: five posts, from one thread, and 5 buffers.
  for want in "version=(string)$version" "count=(gint64)5" "shape=(string)" \
    "exception=(string)TimeoutError" "num-retries=(guint64)1" "final=(boolean)true" "$@"; do
    if ! grep -qF -- "$want" "$out"; then
      echo "no ${want%%=*}"
      cp "$out" "/tmp/python_versions.$version.$(basename "$out")"
      return
    fi
  done
  echo ok
}

status=0
printf '%-9s %-9s %-8s %-8s %-8s\n' Python numpy launch host process
for python in "$@"; do
  version=$("$python" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])') || { status=1; continue; }
  home=$work/$version
  "$python" -m venv "$home" && "$home/bin/pip" -q --disable-pip-version-check install numpy \
    || { echo "$version: no virtualenv with numpy"; status=1; continue; }
  numpy=$("$home/bin/python" -c 'import numpy; print(numpy.__version__)')
  results=()
  gst-launch-1.0 -m $(line "python-home=$home") >"$home/launch" 2>&1
  results+=("$(verdict "$version" "$home/launch")")
  "$home/bin/python" "$work/host.py" "$(line)" >"$home/host" 2>&1
  results+=("$(verdict "$version" "$home/host" "sys is the host's: True")")
  gst-launch-1.0 -m $(line "python-home=$home isolation=process") >"$home/process" 2>&1
  results+=("$(verdict "$version" "$home/process")")
  printf '%-9s %-9s %-8s %-8s %-8s\n' "$version" "$numpy" "${results[@]}"
  [ "${results[*]}" = "ok ok ok" ] || { status=1; tail -n 3 "$home"/{launch,host,process}; }
done
exit $status
