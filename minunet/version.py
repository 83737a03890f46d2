"""The version, stated once, and those of what minunet runs with."""

import platform
from importlib import metadata as packages

__version__ = "0.1.0"

CUPY = "cupy-cuda12x", "cupy-cuda13x", "cupy"


def versions() -> dict[str, str | None]:
    """Returns what the run depends on: {"python": "3.12.1", "numpy": ..., ...}; None for what is not installed.

    Of CuPy's packages, one for each version of CUDA, only those that are installed.
    """
    found: dict[str, str | None] = {"minunet": __version__}
    found |= {"python": platform.python_version(), "platform": platform.platform()}
    for name in ("numpy", "pillow", "matplotlib", "threadpoolctl", *CUPY):
        try:
            found[name] = packages.version(name)
        except packages.PackageNotFoundError:
            if name not in CUPY:
                found[name] = None
    return found
