"""Work spread over threads: who works, on what, and with which scratch memory.

NumPy lets go of Python's lock during a copy, a sum or a matrix product, so plain threads use all cores. While they
work, the BLAS inside NumPy is held to one thread, else every one of them would start threads of its own; afterwards
it has again as many as it had.

Each worker gets one part of the work, always the same one, so the numbers depend on the count of threads alone.
"""

import itertools
import math
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from threadpoolctl import ThreadpoolController


def default_threads():
    """MINUNET_NUM_THREADS, or the number of cores that this process may use."""
    wish = os.environ.get("MINUNET_NUM_THREADS", "")
    if wish:
        if not wish.isdigit() or int(wish) < 1:
            raise ValueError(f"MINUNET_NUM_THREADS is {wish!r}: it must be a whole number from 1")
        return int(wish)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Pool:
    """The worker threads, the count of them, and the hold on the BLAS."""

    def __init__(self):
        self.lock = threading.Lock()
        self.threads = None
        self.executor = None
        self.controller = None
        self.holders = 0
        self.limit = None

    def count(self):
        with self.lock:
            if self.threads is None:
                self.threads = default_threads()
            return self.threads

    def resize(self, threads):
        with self.lock:
            self.threads, self.executor = threads, None

    def workers(self):
        with self.lock:
            if self.executor is None:
                self.executor = ThreadPoolExecutor(self.threads, thread_name_prefix="minunet")
            return self.executor

    def __enter__(self):
        with self.lock:  # the first of several Python threads in holds the BLAS, the last one out lets go
            if self.holders == 0:
                if self.controller is None:
                    self.controller = ThreadpoolController()
                self._take_control()
                self.limit = self.controller.limit(limits=1, user_api="blas")
            self.holders += 1

    def __exit__(self, *exception):
        with self.lock:
            self.holders -= 1
            if self.holders == 0:
                self._take_control()
                self.limit.restore_original_limits()
                self._take_control()

    def _take_control(self):
        """From 3.8 on, threadpoolctl lets only the Python thread that has limited OpenBLAS change the limit. Here the first
        one in limits it and the last one out, perhaps another, ends that; so no thread is left in control."""
        for library in self.controller.lib_controllers:
            if hasattr(library, "clear_controlling_thread"):
                library.clear_controlling_thread(force=True)


_pool = _Pool()
_scratch = threading.local()

if hasattr(os, "register_at_fork"):  # threads do not survive a fork; a child starts its own
    os.register_at_fork(after_in_child=_pool.__init__)


def get_num_threads():
    """How many threads the CPU kernels use."""
    return _pool.count()


def set_num_threads(threads):
    """From now on the CPU kernels use `threads` threads."""
    if not isinstance(threads, (int, np.integer)) or isinstance(threads, bool) or threads < 1:
        raise ValueError(f"the number of threads is {threads!r}: it must be a whole number from 1")
    _pool.resize(int(threads))


def in_parallel(task, items):
    """[task(part) for each part], the list `items` cut into as many consecutive parts as there are threads.

    The calling thread works on the first part itself. An error in any part is raised here, after all have ended.
    """
    parts = split(items, get_num_threads())
    with _pool:
        if len(parts) <= 1:
            return [task(part) for part in parts]
        others = [_pool.workers().submit(task, part) for part in parts[1:]]
        try:
            first = task(parts[0])
        finally:
            rest = [other.exception() or other.result() for other in others]
        for result in rest:
            if isinstance(result, BaseException):
                raise result
        return [first, *rest]


def split(items, parts):
    """`items` as at most `parts` consecutive lists of nearly equal length, none of them empty.

    >>> split([1, 2, 3, 4, 5], 2)
    [[1, 2], [3, 4, 5]]
    """
    edges = [len(items) * k // parts for k in range(parts + 1)]
    return [items[a:b] for a, b in itertools.pairwise(edges) if b > a]


def scratch(name, shape, dtype):
    """An array for passing use, its contents undefined: the memory stays with this thread and is used again.

    Fresh memory is what costs time: the system hands it out page by page, each one cleared first.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    buffer = getattr(_scratch, name, None)
    if buffer is None or buffer.size < max(size, 1):
        setattr(_scratch, name, None)  # the old one goes before the new one comes
        buffer = np.empty(max(size, 1), np.uint8)
        setattr(_scratch, name, buffer)
    return np.ndarray(shape, dtype, buffer)
