"""Ctrl-C, answered between two steps."""

import os
import signal
import threading
from types import FrameType


class Interrupt:
    """Turns Ctrl-C into a question that the loop asks between two steps, so that no step is left half done.

    Inside `with Interrupt() as interrupt:`, the first SIGINT (Ctrl-C) or SIGTERM makes `interrupt()` answer True and is
    kept in `interrupt.signal`; the second raises KeyboardInterrupt at once. Outside the main thread, where Python
    allows no handlers, it changes nothing.
    """

    signal: int | None = None

    def __enter__(self) -> "Interrupt":
        caught: tuple[int, ...] = (signal.SIGINT, signal.SIGTERM)
        if threading.current_thread() is not threading.main_thread():
            caught = ()
        self._before = {number: signal.signal(number, self._note) for number in caught}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def __call__(self) -> bool:
        return self.signal is not None

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number
        # not print: a handler may be called in the middle of another print
        os.write(2, b"\nstopping after this step, then saving (once more: stop at once)\n")
