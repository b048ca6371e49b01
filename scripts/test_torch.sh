#!/usr/bin/env bash
# Runs the tests of the functions on arrays with real tensors of torch, in a virtualenv of its own. Not
# part of scripts/test.sh: the package, with what it needs, takes gigabytes.
#   scripts/test_torch.sh [torch==VERSION]
set -euo pipefail
. "$(dirname "$0")/setup.sh"

wheel=$(scripts/wheel.sh)
venv=${CARGO_TARGET_DIR:-$PWD/target}/python-torch
[ -x "$venv/bin/python" ] || /usr/bin/python3 -m venv "$venv"
"$venv/bin/pip" -q --disable-pip-version-check install numpy "${1:-torch}"
"$venv/bin/pip" -q --disable-pip-version-check install --no-deps --force-reinstall "$wheel"
PYTHONDONTWRITEBYTECODE=1 "$venv/bin/python" -m unittest discover -s tests/torch
