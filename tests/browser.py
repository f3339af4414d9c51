"""Chromium without a window: the page as the browser sees it, and a picture of it."""

import shutil
import struct
import subprocess
import zlib
from pathlib import Path

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
REASON = "needs a Chromium on PATH to open the page; on Debian: apt-get install chromium"

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


def dom(page: Path, profile: Path) -> str:
    """The document after the browser has read it."""
    return _run(profile, "--dump-dom", page.as_uri()).stdout


def screenshot(page: Path, picture: Path, profile: Path, width: int, height: int) -> bytes:
    """The pixels of a window of this size, 3 or 4 bytes each, as they come out of the PNG's filters."""
    _run(profile, f"--window-size={width},{height}", f"--screenshot={picture}", page.as_uri())
    data = picture.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    parts, place = [], 8
    while place < len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        kind = data[place + 4 : place + 8]
        if kind == b"IHDR":
            assert struct.unpack(">II", data[place + 8 : place + 16]) == (width, height)
        if kind == b"IDAT":
            parts.append(data[place + 8 : place + 8 + length])
        place += 12 + length
    return zlib.decompress(b"".join(parts))


def _run(profile: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={profile}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
