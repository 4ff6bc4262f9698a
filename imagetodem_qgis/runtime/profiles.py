"""What an environment is set up for: packages, versions of Python and room on disk of each profile."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from imagetodem_qgis.runtime.inspection import PythonFacts
from imagetodem_qgis.runtime.locations import PLUGIN_FOLDER

_CARD_LIBRARIES_ROOM = 8_000_000_000
_REQUIREMENTS = PLUGIN_FOLDER / "runtime" / "requirements"


@dataclass(frozen=True)
class Profile:
    """A purpose that an environment serves.

    Attributes:
        name: as in the parameter PROFILE.
        oldest: lowest minor version of Python 3 that all its packages are made for.
        newest: highest such version.
        modules: names to import, all of which it needs.
        backends: names to import, one of which it needs; empty for none.
        additions: names to import that single algorithms use: the plugin's own environment has them (but
            for versions of Python that they are not made for), another interpreter may lack them.
        room: bytes that making it takes on disk, downloads included, without a graphics card's libraries.
    """

    name: str
    oldest: int
    newest: int
    modules: tuple[str, ...]
    backends: tuple[str, ...]
    additions: tuple[str, ...]
    room: int

    @property
    def versions_text(self) -> str:
        """The versions of Python that work, in words."""
        return f"Python 3.{self.oldest} to 3.{self.newest}"

    def fits(self, facts: PythonFacts) -> bool:
        """Whether the profile's packages exist for an interpreter's version."""
        return facts.version[0] == 3 and self.oldest <= facts.version[1] <= self.newest and facts.bits == 64

    def missing(self, facts: PythonFacts) -> list[str]:
        """What an interpreter lacks of what the profile needs; alternatives joined by "or"."""
        missing = [module for module in self.modules if module not in facts.packages]
        if self.backends and not any(module in facts.packages for module in self.backends):
            missing.append(" or ".join(self.backends))
        return missing

    def present(self, facts: PythonFacts) -> tuple[str, ...]:
        """What an interpreter has of what the profile can use, as names to import."""
        known = self.modules + self.backends + self.additions
        return tuple(module for module in known if module in facts.packages)


PREDICT = Profile("predict", 9, 14, ("numpy", "scipy", "onnxruntime"), (), (), 700_000_000)
TRAIN = Profile(
    "train",
    9,
    13,
    ("numpy", "scipy", "onnxruntime", "keras", "onnx", "rasterio", "PIL"),
    ("tensorflow", "torch"),
    ("ee", "xdem", "geoutils", "dask", "distributed"),
    4_000_000_000,
)
PROFILES = {profile.name: profile for profile in (PREDICT, TRAIN)}


def unavailable_reason(profile: Profile) -> str:
    """Why a profile cannot be set up on this computer, whatever Python there is; empty where it can."""
    if profile is TRAIN and sys.platform == "darwin" and platform.machine() == "x86_64":
        return "TensorFlow is no longer made for Macs with an Intel processor: train on another computer"
    return ""


def has_nvidia_card() -> bool:
    """Whether an NVIDIA graphics card with its driver is there, as far as can be told without asking it."""
    signs = ("/proc/driver/nvidia/version", "/usr/lib/wsl/lib/nvidia-smi")
    has_tool = sys.platform == "win32" and shutil.which("nvidia-smi") is not None
    return has_tool or any(os.path.exists(sign) for sign in signs)


def requirements_file(profile: Profile) -> Path:
    """The pinned requirements of a profile on this computer.

    Where there is an NVIDIA card, training gets the libraries that use it: gigabytes more, so not elsewhere.
    """
    if profile is TRAIN and has_nvidia_card():
        if sys.platform == "win32":
            return _REQUIREMENTS / "train-nvidia-windows.txt"
        if platform.machine() == "x86_64":
            return _REQUIREMENTS / "train-nvidia-linux.txt"
    return _REQUIREMENTS / f"{profile.name}.txt"


def room_needed(profile: Profile, requirements: Path) -> int:
    """Bytes that making an environment takes on disk, downloads included."""
    return profile.room + (_CARD_LIBRARIES_ROOM if "nvidia" in requirements.name else 0)


def requirements_hash(file: Path) -> str:
    """SHA-256 of a requirements file and of the files that it includes."""
    digest = hashlib.sha256()
    for line in file.read_text(encoding="utf-8").splitlines():
        words = line.split()
        if words[:1] == ["-r"]:
            digest.update(requirements_hash(file.parent / words[1]).encode())
        else:
            digest.update(line.encode() + b"\n")
    return digest.hexdigest()


def requirements_count(file: Path) -> int:
    """How many packages a requirements file names, those for other systems included."""
    count = 0
    for line in file.read_text(encoding="utf-8").splitlines():
        words = line.split()
        if words[:1] == ["-r"]:
            count += requirements_count(file.parent / words[1])
        elif words and not words[0].startswith(("#", "-")):
            count += 1
    return count
