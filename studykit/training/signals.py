"""SIGTERM and SIGINT as a request to stop at the next step boundary."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """``received`` is the name of the first signal that arrived, None while there was none."""

    def __init__(self) -> None:
        self.received: str | None = None


@contextmanager
def stop_on_signal(*, insist: bool) -> Iterator[StopRequest]:
    """While open, SIGTERM and SIGINT only set the request; the handlers before it come back on leaving.

    With ``insist`` a second SIGINT raises KeyboardInterrupt at once, for whoever cannot wait for the
    boundary. Workers of ``torchrun`` go without: they get one Ctrl-C from the terminal and one more from
    their parent. Outside the main thread Python allows no handler, and the request stays empty.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def note(number: int, frame: FrameType | None) -> None:
        if insist and request.received and number == signal.SIGINT:
            raise KeyboardInterrupt
        request.received = request.received or signal.Signals(number).name

    previous = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
