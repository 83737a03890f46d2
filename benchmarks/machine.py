"""What the figures were measured on."""

import os
import platform
from pathlib import Path


def describe():
    """Returns the machine in one line: processor, caches, cores in use, memory, system, Python."""
    memory = _first("/proc/meminfo", "MemTotal", default="? kB").split()[0]
    memory = f"{int(memory) / 1e6:.0f} GB" if memory.isdigit() else "?"
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"{processor()}, {caches()}, {len(cores())} cores in use, {memory} memory, {system}"


def processor():
    """Returns the processor's name; where it does not say much, its family and model too."""
    name = _first("/proc/cpuinfo", "model name", default=platform.processor())
    family, model = (_first("/proc/cpuinfo", key, default="?") for key in ("cpu family", "model\t"))
    return name if family == "?" else f"{name} (family {family}, model {model})"


def caches():
    """Returns the sizes of the first core's caches for data, as Linux lists them: "L1 32K, L2 1024K, L3 32768K"."""
    found = {}
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            level, kind, size = ((folder / name).read_text().strip() for name in ("level", "type", "size"))
        except OSError:
            continue
        if kind != "Instruction":
            found[f"L{level}"] = size
    return ", ".join(f"{level} {size}" for level, size in found.items()) or "caches unknown"


def cores():
    """Returns the numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def blas():
    """Returns the matrix-product library that NumPy uses in this process, with its kernel and its threads."""
    import numpy

    try:
        from threadpoolctl import threadpool_info
    except ModuleNotFoundError:
        return f"NumPy {numpy.__version__}"
    libraries = [b for b in threadpool_info() if b["user_api"] == "blas"]
    return ", ".join(
        [f"NumPy {numpy.__version__}"]
        + [
            f"{b['internal_api']} {b['version']}, kernel {b.get('architecture', '?')}, {b['num_threads']} threads"
            for b in libraries
        ]
    )


def slowed():
    """Returns a warning if environment variables make OpenBLAS slower than it could be, else ''."""
    names = [name for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE") if name in os.environ]
    return f"{' and '.join(names)} set: NumPy may be slower than it could be" if names else ""


class Disturbance:
    """How much of the machine's time others took while something was measured.

    disturbance = Disturbance()
    …                                start processes, measure, wait for their end
    print(disturbance.describe())
    """

    def __init__(self):
        self.start = self._seconds()

    def describe(self):
        """Returns a sentence; on other systems than Linux, that it is not known."""
        if self.start is None:
            return "What else ran meanwhile is not known."
        passed, busy, stolen, ours = (b - a for a, b in zip(self.start, self._seconds()))
        others = max(0, busy - ours)
        return (
            f"Meanwhile other processes took {others / passed:.0%} of the machine's time, and other machines on the "
            f"same processor {stolen / passed:.0%}."
        )

    @staticmethod
    def _seconds():
        """Returns seconds of all cores since the start: passed, busy, stolen, and busy for this process and its own."""
        numbers = _first("/proc/stat", "cpu ", default="", separator=" ").split()
        if not numbers:
            return None
        user, nice, system, idle, wait, irq, soft, steal = (int(n) / os.sysconf("SC_CLK_TCK") for n in numbers[:8])
        busy = user + nice + system + irq + soft
        times = os.times()
        ours = times.user + times.system + times.children_user + times.children_system
        return busy + idle + wait + steal, busy, steal, ours


def _first(file, key, default, separator=":"):
    """Returns the value of the first line "key: value" of a file under /proc, or `default` if there is none."""
    try:
        lines = Path(file).read_text().splitlines()
    except OSError:
        return default
    return next((line.split(separator, 1)[1].strip() for line in lines if line.startswith(key)), default)
