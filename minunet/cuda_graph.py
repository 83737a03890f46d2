"""A training step recorded as a CUDA graph: Python says once what the GPU is to do, and then only "again".

A step of the lecture's U-Net is about 250 launches of kernels. Python needs milliseconds to ask for them, whatever the
size of the batch; with few images the GPU is done earlier and waits. A CUDA graph is the list of these launches, with
all their arguments: while a stream is *captured*, nothing that it is asked to do is done, all of it is written down.
One call then replays the list.

    RecordedStep     steps 1 and 2     as usual: kernels are compiled, the optimizer makes its state       "warming up"
                     step 3            captured, and replayed for the first time
                     from step 4 on    the batch is copied to where the graph reads it, and the graph is replayed

What is replayed is what was recorded, to the bit. So all that a launch was told must still hold in later steps:

addresses   The graph reads and writes the arrays that it met. The batch is therefore copied into arrays that stay where
            they are (`inputs`), and all arrays of the step come from a memory pool that serves nothing else and lives
            as long as the graph: with the common pool, a replay would write over the arrays of others.
numbers     A number among the arguments of a launch is frozen. What changes from step to step (the learning rate, how
            many steps Adam has taken, which features dropout drops) is read from arrays, and `each_step` fills them: it
            does at once what it is given, but within a capture notes it, to be done before each replay.
choices     An `if` of Python is decided while recording. So a step is recorded anew when one of its `conditions` has
            changed, such as a layer that was frozen since.

Nothing within a step may wait for the GPU or copy from the host; CUDA, or CuPy, then refuses to record it, and the step
runs as it would without a graph. A function of one's own that does something else in each step, without telling
`each_step`, is not noticed: it is frozen as it was.

Source: CUDA C++ Programming Guide, "CUDA Graphs"; streams are explained in training/batches.py.
"""

import contextlib
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import Any

from numpy.typing import DTypeLike

from minunet.cuda import memory_free, memory_room, release_memory, side_stream
from minunet.device import Array, array_module, cupy_module

WARM_UP = 2  # steps before the capture: the first makes what is kept, the second finds it made

_noted: ContextVar[list[Callable[[], None]] | None] = ContextVar("what to do before each replay", default=None)


class NotRecordable(RuntimeError):
    """Something in a step would be frozen in a graph, although it has to change."""


def each_step(action: Callable[[], None]) -> None:
    """Calls action(); within a capture, notes it instead, to be called before each replay.

    What it asks of the GPU must write into arrays that the step reads.
    """
    noted = _noted.get()
    if noted is None:
        action()
    else:
        noted.append(action)


def is_recording() -> bool:
    """Returns whether what is asked of the GPU now is being recorded, not done."""
    return _noted.get() is not None


def for_each_step(shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """Returns an uninitialized array on the current GPU for `each_step` to fill.

    Within a capture it does not come from the memory of the graph: there, what the step has freed by now would be given
    out once more, and a replay would write over the array before it is read.
    """
    cupy = cupy_module()
    if not is_recording():
        return cupy.empty(shape, dtype)
    with cupy.cuda.using_allocator(cupy.get_default_memory_pool().malloc):
        return cupy.empty(shape, dtype)


def addresses(arrays: Iterable[Any]) -> list[int]:
    """Returns where arrays on a GPU lie; 0 for None."""
    return [0 if array is None else array.data.ptr for array in arrays]


class RecordedStep:
    """A function of arrays on a GPU that is recorded when it is called for the third time, and replayed from then on.

    step        takes arrays and returns arrays: all that it does to others (weights, optimizer state) it does in place.
    device      the GPU of all of them.
    conditions  returns what the recorded step takes for granted; when the answer changes, it is recorded anew.
    abandon     called when a capture has failed: forgets what the step left half done.
    warn        called then, too, once: with the reason.

    What a call returns is overwritten by the next. Arrays of another shape, such as a last, smaller batch, are not for
    this function: the caller runs the step itself.
    """

    def __init__(
        self,
        step: Callable[..., tuple[Array, ...]],
        device: str,
        conditions: Callable[[], object] = lambda: None,
        abandon: Callable[[], None] = lambda: None,
        warn: Callable[[str], None] = warnings.warn,
    ) -> None:
        self.step = step
        self.device = device
        self.conditions = conditions
        self.abandon = abandon
        self.warn = warn
        self.stream = side_stream(device)  # the one stream that everything else waits for cannot be captured
        self.failure: str | None = None  # why the step cannot be recorded
        self.forget()

    def forget(self) -> None:
        """Drops the graph and its memory; the next calls warm up again."""
        self.graph: Any = None
        self.outputs: tuple[Array, ...] = ()
        self.inputs: tuple[Array, ...] = ()
        self.before_replay: list[Callable[[], None]] = []
        self.held: object = None  # the conditions under which the last call ran
        self.warm = 0
        self.pool: Any = None

    def make_room(self) -> None:
        """Drops the graph if its memory is more than what is left: to be called before other work of that size.

        No array outside of the graph may use its memory, so a smaller batch needs memory of its own. Recording once
        more costs two steps without a graph.
        """
        if self.pool is not None and memory_free(self.device) < self.pool.total_bytes():
            self.forget()

    @contextlib.contextmanager
    def in_its_stream(self) -> Iterator[None]:
        """Inside the block, everything is computed in the stream of the graph, after what was asked for before.

        If the block fails, the graph's memory is given back: the error may be that there was none left.
        """
        cupy = cupy_module()
        with cupy.cuda.Device(self.stream.device_id):
            outside = cupy.cuda.get_current_stream()
            self.stream.wait_event(outside.record())
            try:
                with self.stream:
                    yield
            except BaseException:
                self.forget()
                raise
            finally:
                outside.wait_event(self.stream.record())

    def __call__(self, *arrays: Array) -> tuple[Array, ...]:
        """Runs step(*arrays), by replaying its graph as soon as there is one. To be called `in_its_stream`."""
        if self.failure is not None:
            return self.step(*arrays)
        if self.pool is None:
            release_memory(self.device)  # what the common pool keeps for later could not be used here
            self.pool = cupy_module().cuda.MemoryPool()
            self.pool.set_limit(memory_room())
        self._copy_in(arrays)
        if self.conditions() != self.held:
            self.graph, self.warm = None, 0
        if self.graph is None and self.warm < WARM_UP:
            self.warm += 1
            with self._own_memory():
                outputs = self.step(*self.inputs)
            self.held = self.conditions()  # after the first step, this includes the optimizer's state
            return outputs
        if self.graph is None and not self._record():
            return self.step(*arrays)
        for action in self.before_replay:
            action()
        self.graph.launch()
        return self.outputs

    def _copy_in(self, arrays):
        """Copies the arrays to where the graph reads them."""
        if [(a.shape, a.dtype) for a in self.inputs] != [(a.shape, a.dtype) for a in arrays]:
            self.graph, self.warm = None, 0
            with self._own_memory():
                self.inputs = tuple(array_module(a).empty_like(a) for a in arrays)
        for own, array in zip(self.inputs, arrays):
            array_module(own).copyto(own, array)

    def _own_memory(self):
        return cupy_module().cuda.using_allocator(self.pool.malloc)

    def _record(self):
        """Captures a step. Returns False, after saying why, if that is not possible."""
        self.before_replay = []
        token = _noted.set(self.before_replay)
        try:
            with self._own_memory():
                self.stream.begin_capture()
                try:
                    self.outputs = self.step(*self.inputs)
                except BaseException:
                    with contextlib.suppress(Exception):  # the error above says more than that the capture is invalid
                        self.stream.end_capture()
                    raise
                self.graph = self.stream.end_capture()
            return True
        except Exception as error:
            failure = f"{type(error).__name__}: {error}".splitlines()[0]
        finally:
            _noted.reset(token)
        self.abandon()
        self.forget()
        self.failure = failure
        self.warn(f"the training step is not recorded as a CUDA graph, and runs without one: {failure}")
        return False
