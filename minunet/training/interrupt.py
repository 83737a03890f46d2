"""Ctrl-C as a question."""

import os
import signal
import threading


class Interrupt:
    """Turns Ctrl-C into a question that the loop asks between two steps, so that no step is left half done.

    Inside `with Interrupt() as interrupt:`, the first SIGINT (Ctrl-C) or SIGTERM makes `interrupt()` answer
    True and is kept in `interrupt.signal`; the second raises KeyboardInterrupt at once. Outside the main
    thread, where Python allows no handlers, it changes nothing.
    """

    signal = None

    def __enter__(self):
        caught = (signal.SIGINT, signal.SIGTERM)
        if threading.current_thread() is not threading.main_thread():
            caught = ()
        self._before = {number: signal.signal(number, self._note) for number in caught}
        return self

    def __exit__(self, *exception):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def __call__(self):
        return self.signal is not None

    def _note(self, number, frame):
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number
        # not print: a handler may come in the middle of another print
        os.write(2, b"\nstopping after this step, then saving (once more: stop at once)\n")
