#!/usr/bin/env bash
# Installs what is missing and runs every test.
set -euo pipefail
. "$(dirname "$0")/setup.sh"
help_asked "${1-}"

need_rust
need_runtime
need_packages python3-venv python3-gi python3-gst-1.0 gir1.2-gst-plugins-base-1.0 python3-prometheus-client \
  gir1.2-gst-rtsp-server-1.0 gstreamer1.0-rtsp gstreamer1.0-libav ffmpeg chromium python3-torch
target=${CARGO_TARGET_DIR:-$PWD/target}
[ -d "$target/debug" ] || need_space 8 "$target" "name another folder in CARGO_TARGET_DIR"
set_up
fetch_crates

status=0
say "Rust tests: signal processing, elements, whole pipelines, gst-launch and PyGObject"
cargo test --workspace --locked --no-fail-fast || status=$?

say "Tests of these scripts' set-up"
PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -m unittest discover -s tests/scripts || status=$?

say "Python tests: messages, reports in Chromium, Prometheus, an RTSP server with clients"
plugins=$target/observe-plugins
# The file that the tests in Rust ran with: `cargo build` alone compiles nearly everything once more, since the package
# by itself asks for other features of its dependencies than the workspace.
need_plugin_in "$plugins" debug/deps
env -u GST_PLUGIN_PATH_1_0 GST_PLUGIN_PATH="$plugins" GST_REGISTRY="$plugins.registry" \
  G_DEBUG=fatal-warnings PYTHONDONTWRITEBYTECODE=1 \
  /usr/bin/python3 -m unittest discover -s tests/observe || status=$?

say "Many files at once: survival, tables, manifests for Lhotse and NeMo, Ray, S3"
corpus=$target/python-corpus
# PyGObject is the system's.
need_venv "$corpus" --system-site-packages "-r tests/corpus/requirements.txt" "--no-deps -r tests/corpus/alone.txt"
env -u GST_PLUGIN_PATH_1_0 GST_PLUGIN_PATH="$plugins" GST_REGISTRY="$plugins.registry" \
  G_DEBUG=fatal-warnings PYTHONDONTWRITEBYTECODE=1 \
  "$corpus/bin/python" -m unittest discover -s tests/corpus || status=$?

say "Exceptions of HTTP and gRPC clients, in a virtualenv of their own"
clients=$target/python-clients
need_venv "$clients" "-r tests/clients/requirements.txt"
env -u GST_PLUGIN_PATH_1_0 GST_PLUGIN_PATH="$plugins" GST_REGISTRY="$plugins.registry" \
  G_DEBUG=fatal-warnings PYTHONDONTWRITEBYTECODE=1 PYTHON_HOME="$clients" \
  /usr/bin/python3 -m unittest discover -s tests/clients || status=$?

say "Functions on arrays: the wheel in virtualenvs of the newest numpy and the oldest"
wheel=$(scripts/wheel.sh) || { status=$?; wheel=; }
for numpy in newest oldest; do
  [ -n "$wheel" ] || break
  venv=$target/python-$numpy
  need_venv "$venv" "-r tests/numpy/$numpy.txt"
  "$venv/bin/pip" -q --disable-pip-version-check install --no-deps --force-reinstall "$wheel"
  env -u GST_PLUGIN_PATH_1_0 -u GST_PLUGIN_PATH -u PYTHONPATH G_DEBUG=fatal-warnings PYTHONDONTWRITEBYTECODE=1 \
    "$venv/bin/python" -m unittest discover -s tests/numpy || status=$?
done

say "Tensors: the wheel beside the system's torch"
if [ -n "$wheel" ]; then
  venv=$target/python-torch
  need_venv "$venv" --system-site-packages
  "$venv/bin/pip" -q --disable-pip-version-check install --no-deps --force-reinstall "$wheel"
  env -u GST_PLUGIN_PATH_1_0 -u GST_PLUGIN_PATH -u PYTHONPATH PYTHONDONTWRITEBYTECODE=1 \
    "$venv/bin/python" -m unittest discover -s tests/torch || status=$?
fi

say "Servers in C, with the plugin linked in and loaded"
scripts/test_c.sh --debug || status=$?
exit "$status"
