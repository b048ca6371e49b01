"""Where the GStreamer plugin is that came with this package."""
from __future__ import annotations

from pathlib import Path


class PluginError(Exception):
    """This copy of the package came without the plugin."""


def plugin_path() -> Path:
    """The file of the plugin in this package; its folder, which holds nothing else, is what
    GST_PLUGIN_PATH takes. Raises `PluginError` where the package was not installed from a wheel."""
    path = Path(__file__).resolve().parent / "plugins" / "libgstrustaudio.so"
    if not path.exists():
        raise PluginError(f"{path} does not exist: build the wheel with scripts/wheel.sh and install it with pip")
    return path
