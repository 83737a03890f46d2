"""Work divided among threads: how many there are, who does what, and their scratch memory.

NumPy releases Python's lock during a copy, a sum or a matrix product, so plain threads use all cores. While they work,
the BLAS inside NumPy is limited to one thread, or each of them would start threads of its own; afterwards it may use as
many as before.

The work is cut into chunks in a way that depends on nothing but how many threads there are, and what comes of them is
put together in their order. So the results do not depend on which thread took which chunk.
"""

import functools
import itertools
import math
import os
import threading
from collections import deque
from queue import SimpleQueue

import numpy as np
from threadpoolctl import ThreadpoolController


def default_threads() -> int:
    """Returns MINUNET_NUM_THREADS or, if that is not set, the number of cores that this process may use.

    Raises ValueError if MINUNET_NUM_THREADS is not an integer of at least 1.
    """
    text = os.environ.get("MINUNET_NUM_THREADS", "")
    if text:
        if not text.isdigit() or int(text) < 1:
            raise ValueError(f"MINUNET_NUM_THREADS is {text!r}: it must be an integer of at least 1")
        return int(text)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Pool:
    """The worker threads, how many there are, and the limit on the BLAS while they work."""

    def __init__(self):
        self.forget()

    def forget(self):
        """Starts over, without threads; the next call that needs them starts them."""
        self.lock = threading.Lock()
        self.threads = None
        self.calls = None
        self.blas = None
        self.before = None
        self.holders = 0

    def count(self):
        with self.lock:
            if self.threads is None:
                self.threads = default_threads()
            return self.threads

    def resize(self, threads):
        with self.lock:
            for _ in range((self.threads or 1) - 1 if self.calls else 0):
                self.calls.put(None)  # ends one worker
            self.threads = threads
            self.calls = None

    def call(self, helpers, waiting):
        """Wakes up that many worker threads, to help with the chunks in `waiting`."""
        if helpers < 1:
            return
        with self.lock:
            if self.calls is None:
                self.calls = SimpleQueue()
                for number in range(1, self.threads):
                    threading.Thread(target=_answer, args=(self.calls,), name=f"minunet-{number}", daemon=True).start()
            for _ in range(helpers):
                self.calls.put(waiting)

    def __enter__(self):
        with self.lock:  # of several callers, the first one in limits the BLAS and the last one out lifts the limit
            if self.holders == 0:
                if self.blas is None:
                    libraries = ThreadpoolController().lib_controllers
                    self.blas = [library for library in libraries if library.user_api == "blas"]
                self.before = [library.get_num_threads() for library in self.blas]
                self._limit_blas([1] * len(self.blas))
            self.holders += 1

    def __exit__(self, *exception):
        with self.lock:
            self.holders -= 1
            if self.holders == 0:
                self._limit_blas(self.before)

    def _limit_blas(self, counts):
        """Gives each BLAS that many threads. (threadpoolctl's own `limit` does the same, but takes 15 µs.)

        Since version 3.8 of threadpoolctl, only the thread that limited OpenBLAS may do so. Here the last one out lifts
        the limit, and that need not be the first one in; so no thread is left in control.
        """
        for library, count in zip(self.blas, counts):
            release = getattr(library, "clear_controlling_thread", lambda force: None)
            release(force=True)
            library.set_num_threads(count)
            release(force=True)


_pool = _Pool()
_scratch = threading.local()

if hasattr(os, "register_at_fork"):  # threads do not survive a fork: a child starts its own
    os.register_at_fork(after_in_child=_pool.forget)


def get_num_threads() -> int:
    """Returns how many threads the CPU kernels use."""
    return _pool.count()


def set_num_threads(threads: int) -> None:
    """Makes the CPU kernels use `threads` threads. Raises ValueError unless that is an integer of at least 1."""
    if not isinstance(threads, (int, np.integer)) or isinstance(threads, bool) or threads < 1:
        raise ValueError(f"the number of threads is {threads!r}: it must be an integer of at least 1")
    _pool.resize(int(threads))


def in_parallel(task, items, chunks=None):
    """Returns [task(chunk) for each chunk]; the list `items` is cut into `chunks`, or as many as there are threads.

    Each thread, the calling one too, takes the next chunk when it is done with one. So none waits long for another,
    and a thread that is slow to wake up is not waited for: its share is done by then. An error in any chunk is raised
    here, after all chunks have ended.
    """
    parts = split(items, chunks or get_num_threads())
    results, errors, ended = [None] * len(parts), {}, SimpleQueue()

    def run(number, chunk):
        try:
            results[number] = task(chunk)
        except BaseException as error:  # raised by the calling thread, below
            errors[number] = error
        ended.put(number)

    waiting = deque(functools.partial(run, number, chunk) for number, chunk in enumerate(parts))
    with _pool:
        _pool.call(min(get_num_threads(), len(parts)) - 1, waiting)
        _take_chunks(waiting)
        for _ in parts:
            ended.get()
    if errors:
        raise errors[min(errors)]
    return results


def _take_chunks(waiting):
    while True:
        try:
            run = waiting.popleft()
        except IndexError:  # none is left
            return
        run()


def _answer(calls):
    """What a worker thread does: it sleeps until there is a call, and then helps with its chunks."""
    while (waiting := calls.get()) is not None:
        _take_chunks(waiting)


def split(items, count):
    """Returns `items` as at most `count` consecutive lists of nearly equal length, none of them empty.

    >>> split([1, 2, 3, 4, 5], 2)
    [[1, 2], [3, 4, 5]]
    """
    count = min(count, len(items))
    edges = [len(items) * k // count for k in range(count + 1)] if count else []
    return [items[a:b] for a, b in itertools.pairwise(edges)]


def scratch(name, shape, dtype):
    """Returns an array for temporary use, its contents undefined; this thread keeps the memory and uses it again.

    New memory costs time: the system hands it out page by page, and clears each one first.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    buffer = getattr(_scratch, name, None)
    if buffer is None or buffer.size < max(size, 1):
        setattr(_scratch, name, None)  # free the old one before allocating the new one
        buffer = np.empty(max(size, 1), np.uint8)
        setattr(_scratch, name, buffer)
    return np.ndarray(shape, dtype, buffer)
