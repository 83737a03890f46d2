"""Keeping freed memory: tested in a process of its own, since it cannot be undone."""

import ctypes
import subprocess
import sys

import pytest

from minunet.kernels.memory import keep_freed_memory

PROGRAM = """
import resource, sys
import numpy as np
from minunet.kernels.memory import keep_freed_memory

if not keep_freed_memory():
    sys.exit(77)

def pages_handed_out(rounds):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        np.ones(3_000_000, np.uint8)  # below the size for which NumPy asks for huge pages
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

pages_handed_out(2)
print(pages_handed_out(50))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc has this option")
def test_freed_memory_is_reused_without_asking_the_system():
    result = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    if result.returncode == 77:
        pytest.skip("this C library has no such option")
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) < 100  # 50 times 732 pages otherwise


@pytest.mark.parametrize("error", [AttributeError, OSError, TypeError])
def test_another_c_library_is_left_alone(monkeypatch, error):
    def no_such_library(name):
        raise error("no mallopt here")

    monkeypatch.setattr(ctypes, "CDLL", no_such_library)
    assert keep_freed_memory() is False
