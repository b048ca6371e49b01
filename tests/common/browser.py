"""Pages in a real browser, for the Python tests."""
import shutil
import subprocess
import tempfile

#: Seconds after which a browser hangs.
_PATIENCE = 120


def chromium(path, *flags):
    """Opens the file ``path`` in headless Chromium; what that writes, with ``--dump-dom`` the document as it stands."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    assert program, "chromium is missing"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        return subprocess.run(
            [program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-sync",
             f"--user-data-dir={profile}", *flags, path.as_uri()],
            capture_output=True, text=True, timeout=_PATIENCE, check=True).stdout
