# SPDX-License-Identifier: MIT
"""Where the GStreamer plugin is that came with this package."""
from __future__ import annotations

import sysconfig
from pathlib import Path
from typing import Any


class PluginError(Exception):
    """The plugin came neither with this copy of the package nor with the system."""


# Where Debian's packages have it.
_SYSTEM = Path("/usr/lib") / str(sysconfig.get_config_var("MULTIARCH")) / "gstreamer-1.0"


def plugin_path() -> Path:
    """The file of the plugin in this package; its folder, which holds nothing else, is what
    GST_PLUGIN_PATH takes. Where the package came from Debian's `python3-gstrustaudio`, it is that of
    `gstreamer1.0-rustaudio`, which GStreamer finds by itself. Raises `PluginError` where there is neither."""
    name = "libgstrustaudio.so"
    own = Path(__file__).resolve().parent / "plugins" / name
    for path in (own, _SYSTEM / name):
        if path.exists():
            return path
    raise PluginError(
        f"{own} does not exist: install gstreamer1.0-rustaudio, or build the wheel with scripts/wheel.sh and "
        "install it with pip"
    )


def find_plugin(gst: Any) -> None:
    """Has GStreamer (the module ``Gst``, initialised) find the plugin of this package where it has none yet."""
    if gst.ElementFactory.find("rustvad") is None:
        try:
            gst.Registry.get().scan_path(str(plugin_path().parent))
        except PluginError:
            # The pipeline says what is missing.
            pass
