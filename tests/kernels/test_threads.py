"""Work on threads: what each of them gets, what happens to errors, and that the BLAS is left as it was found."""

import collections
import functools
import os
import subprocess
import sys
import threading
import time
import weakref

import hypothesis
import numpy as np
import pytest
import threadpoolctl

from minunet import get_num_threads, set_num_threads
from minunet.kernels import threads

whole_numbers = hypothesis.strategies.integers


@pytest.fixture(autouse=True)
def threads_as_before():
    before = get_num_threads()
    yield
    set_num_threads(before)


def blas_threads():
    """How many threads each BLAS library in this process may use."""
    libraries = threadpoolctl.threadpool_info()
    return [library["num_threads"] for library in libraries if library["user_api"] == "blas"]


@pytest.fixture
def two_blas_threads(monkeypatch):
    """The counts of a BLAS that has two threads, whatever earlier tests have left behind."""
    # The pool knows the libraries that were there when it was first used; SciPy's own BLAS may have come since.
    monkeypatch.setattr(threads._pool, "blas", None)
    with threadpoolctl.threadpool_limits(2, "blas"):
        if set(blas_threads()) != {2}:
            pytest.skip("threadpoolctl cannot give the BLAS of this NumPy two threads")
        yield blas_threads()


# ---- how many ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, np.int64(3)])
def test_the_number_of_threads_can_be_set(count):
    set_num_threads(count)
    assert get_num_threads() == count and type(get_num_threads()) is int


@pytest.mark.parametrize("count", [0, -1, 1.0, 2.5, "2", None, True])
def test_an_invalid_number_of_threads(count):
    before = get_num_threads()
    with pytest.raises(ValueError, match=r"number of threads is .*integer of at least 1"):
        set_num_threads(count)
    assert get_num_threads() == before


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", " ", "2 cores"])
def test_an_invalid_environment_variable(monkeypatch, text):
    monkeypatch.setenv("MINUNET_NUM_THREADS", text)
    with pytest.raises(ValueError, match=r"MINUNET_NUM_THREADS is .*integer of at least 1"):
        threads.default_threads()


def test_the_environment_decides_or_else_the_number_of_cores(monkeypatch):
    monkeypatch.setenv("MINUNET_NUM_THREADS", "3")
    assert threads.default_threads() == 3
    for text in ("", None):
        if text is None:
            monkeypatch.delenv("MINUNET_NUM_THREADS")
        else:
            monkeypatch.setenv("MINUNET_NUM_THREADS", text)
        assert 1 <= threads.default_threads() <= os.cpu_count()


# ---- who does what -----------------------------------------------------------------------------------------


@hypothesis.given(whole_numbers(0, 40), whole_numbers(1, 12))
def test_split_hands_out_everything_once_in_order(count, parts):
    items = list(range(count))
    lists = threads.split(items, parts)
    assert [item for part in lists for item in part] == items
    assert len(lists) == min(count, parts)
    assert max(map(len, lists), default=0) - min(map(len, lists), default=0) <= 1


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_results_come_in_the_order_of_the_items(count):
    set_num_threads(count)

    def task(chunk):
        time.sleep(0.002 * (10 - chunk[0]))  # the later chunks are done first
        return list(chunk)

    lists = threads.in_parallel(task, range(10))
    assert [item for part in lists for item in part] == list(range(10))


def test_chunks_run_in_parallel_and_the_caller_takes_the_first():
    set_num_threads(3)
    meet = threading.Barrier(3, timeout=10)

    def task(chunk):
        meet.wait()  # would time out if one had to wait for another
        return threading.get_ident()

    workers = threads.in_parallel(task, range(9))
    assert workers[0] == threading.get_ident() and len(set(workers)) == 3


def test_with_more_chunks_than_threads_nobody_waits_for_a_slow_one():
    set_num_threads(2)
    others_done = threading.Event()
    done = []

    def task(chunk):
        if chunk == [0]:
            assert others_done.wait(timeout=10)  # would time out if one of the others waited for this chunk's thread
        done.append(chunk)
        if len(done) == 4:
            others_done.set()
        return chunk

    assert threads.in_parallel(task, list(range(5)), chunks=5) == [[0], [1], [2], [3], [4]]
    assert done[-1] == [0]


def test_nobody_waits_for_a_thread_that_is_busy_elsewhere():
    set_num_threads(2)
    both_at_work, go_on = threading.Barrier(3, timeout=10), threading.Event()
    first = threading.Thread(
        target=lambda: threads.in_parallel(lambda _: (both_at_work.wait(), go_on.wait(10)), [0, 1])
    )
    first.start()
    both_at_work.wait()  # from now on the only worker is busy
    array = np.zeros(3)
    gone = weakref.ref(array)

    def task(chunk, array=array):
        return threading.get_ident(), chunk

    assert threads.in_parallel(task, list(range(4)), chunks=4) == [(threading.get_ident(), [i]) for i in range(4)]
    assert not go_on.is_set()
    del task, array
    assert gone() is None  # the call that nobody has answered yet keeps nothing alive
    go_on.set()
    first.join()


def test_what_a_chunk_has_used_is_gone_when_it_has_ended():
    array = np.zeros(3)
    gone, at_the_end = weakref.ref(array), []
    waiting = collections.deque([functools.partial(np.sum, array)])
    del array

    class Ended:
        def put(self, _):
            at_the_end.append(gone())

    threads._take_chunks(waiting, Ended())
    assert at_the_end == [None]


def test_another_number_of_threads_ends_those_of_before():
    before = set(threading.enumerate())
    set_num_threads(3)
    threads.in_parallel(sum, range(3))
    workers = [thread for thread in threading.enumerate() if thread not in before and thread.name.startswith("minunet")]
    assert len(workers) == 2
    set_num_threads(2)
    for worker in workers:
        worker.join(timeout=10)
        assert not worker.is_alive()


def test_one_thread_takes_all_chunks():
    set_num_threads(1)
    assert threads.in_parallel(lambda chunk: (threading.get_ident(), chunk), [3, 5], chunks=2) == [
        (threading.get_ident(), [3]),
        (threading.get_ident(), [5]),
    ]


def test_no_work():
    assert threads.in_parallel(lambda chunk: 1 / 0, []) == []


def test_falsy_results_are_results():
    set_num_threads(3)
    assert threads.in_parallel(lambda chunk: None, range(3)) == [None] * 3
    results = threads.in_parallel(lambda chunk: np.zeros(2), range(3))
    assert [result.tolist() for result in results] == [[0, 0]] * 3


def test_the_number_of_threads_can_change_later():
    for count in (1, 4, 2):
        set_num_threads(count)
        assert len(threads.in_parallel(lambda chunk: threading.get_ident(), range(20))) == count


# ---- errors ------------------------------------------------------------------------------------------------


class Stopped(Exception):
    pass


@pytest.mark.parametrize("bad", [0, 5, 8])
def test_an_error_in_one_chunk_reaches_the_caller_after_all_have_ended(bad, two_blas_threads):
    set_num_threads(3)
    ended = []

    def task(chunk):
        if bad in chunk:
            raise Stopped(f"item {bad}")
        time.sleep(0.02)
        ended.append(chunk)

    with pytest.raises(Stopped, match=f"item {bad}"):
        threads.in_parallel(task, range(9))
    assert len(ended) == 2
    assert blas_threads() == two_blas_threads
    assert sum(threads.in_parallel(sum, range(9))) == 36  # and the pool still works


def test_errors_in_all_chunks():
    set_num_threads(2)
    with pytest.raises(ZeroDivisionError):
        threads.in_parallel(lambda chunk: 1 / 0, range(4))


# ---- the BLAS ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2])
def test_the_blas_has_one_thread_during_the_work_and_afterwards_as_many_as_before(count, two_blas_threads):
    set_num_threads(count)
    for _ in range(3):
        during = threads.in_parallel(lambda chunk: blas_threads(), range(4))
        assert during == [[1] * len(two_blas_threads)] * count
        assert blas_threads() == two_blas_threads


def test_a_user_may_change_the_count_between_two_calls(two_blas_threads):
    threads.in_parallel(sum, range(4))
    with threadpoolctl.threadpool_limits(1, "blas"):
        threads.in_parallel(sum, range(4))
        assert set(blas_threads()) == {1}
    threads.in_parallel(sum, range(4))
    assert blas_threads() == two_blas_threads


def test_the_blas_when_several_callers_overlap(two_blas_threads):
    set_num_threads(2)
    seen, start = [], threading.Barrier(4, timeout=10)

    def caller(number):
        def task(chunk):
            time.sleep(0.0005 * number)
            return blas_threads()

        start.wait()
        for _ in range(20):
            seen.extend(threads.in_parallel(task, range(2)))

    callers = [threading.Thread(target=caller, args=(number,)) for number in range(4)]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join()
    assert all(set(counts) == {1} for counts in seen) and len(seen) == 4 * 20 * 2
    assert blas_threads() == two_blas_threads


@pytest.mark.parametrize("first_out", ["the first in", "the last in"])
def test_the_limit_on_the_blas_is_lifted_whoever_leaves_last(first_out, two_blas_threads):
    """The caller that limits the BLAS need not be the one that ends the limit."""
    set_num_threads(1)
    entered, followed, left = (threading.Event() for _ in range(3))
    during = []

    def first():
        def task(chunk):
            entered.set()
            followed.wait(10)
            if first_out == "the last in":
                left.wait(10)
            during.append(blas_threads())

        threads.in_parallel(task, [1])
        left.set()

    def second():
        def task(chunk):
            followed.set()
            if first_out == "the first in":
                left.wait(10)
            during.append(blas_threads())

        entered.wait(10)
        threads.in_parallel(task, [1])
        left.set()

    callers = [threading.Thread(target=first), threading.Thread(target=second)]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join()
    assert during == [[1] * len(two_blas_threads)] * 2
    assert blas_threads() == two_blas_threads


# ---- scratch memory ----------------------------------------------------------------------------------------


def test_scratch_memory_is_reused_by_its_own_thread_only():
    first = threads.scratch("for a test", (3, 4), np.float64)
    first[...] = 1
    assert first.shape == (3, 4) and first.dtype == np.float64
    smaller = threads.scratch("for a test", (2, 5), np.float32)
    assert np.shares_memory(first, smaller) and smaller.dtype == np.float32
    assert not np.shares_memory(first, threads.scratch("another", (3, 4), np.float64))
    larger = threads.scratch("for a test", (50, 4), np.float64)
    assert larger.shape == (50, 4) and not np.shares_memory(first, larger)
    elsewhere = []

    def another():
        elsewhere.append(threads.scratch("for a test", (50, 4), np.float64))

    thread = threading.Thread(target=another)
    thread.start()
    thread.join()
    assert not np.shares_memory(larger, elsewhere[0])


@pytest.mark.parametrize("shape", [(), (0, 3)])
def test_empty_scratch_memory(shape):
    assert threads.scratch("of no size", shape, bool).shape == shape


# ---- fork --------------------------------------------------------------------------------------------------

FORKS = """
import os, signal
import numpy as np
from minunet import ops, set_num_threads

set_num_threads(2)
x, w = np.ones((4, 16, 16, 3), np.float32), np.ones((3, 3, 3, 5), np.float32)
before = ops.conv2d(x, w).data                     # the parent's threads exist now
child = os.fork()
if child == 0:
    signal.alarm(20)                               # in case it waits for threads that it does not have
    os._exit(0 if np.array_equal(ops.conv2d(x, w).data, before) else 3)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
assert np.array_equal(ops.conv2d(x, w).data, before)
print("child ended with", status)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_starts_its_own_threads():
    result = subprocess.run([sys.executable, "-W", "ignore", "-c", FORKS], capture_output=True, text=True, timeout=60)
    assert result.stdout == "child ended with 0\n", result.stderr
