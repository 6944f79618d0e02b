"""Ctrl-C and SIGTERM in a training: it ends behind the step it is at, with a checkpoint to go on from."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from transformers import TrainerCallback
from transformers.trainer_utils import SaveStrategy

from polymodal.errors import Terminated, raise_terminated

OURS = {signal.SIGINT: (signal.default_int_handler,), signal.SIGTERM: (signal.SIG_DFL, raise_terminated)}
"""The handlers that are replaced for the time of a training: whoever set another one wants that one."""
KILLED = "killed by signal: Terminated"
"""What PyTorch says of a worker that got the SIGTERM meant for all processes of the fit."""


class StopAtStep(TrainerCallback):
    """Ends a training that was told to stop, once a checkpoint of where it is has been written.

    Resumed from there it comes to the same weights as an unbroken one. A second signal ends it at once, as
    does the first where several processes train: they would not all stop at the same step. Then the last
    whole checkpoint is what a resumed training starts from.
    """

    def __init__(self) -> None:
        self.signal: int | None = None

    @contextmanager
    def listening(self, processes: int) -> Iterator[None]:
        """Take the signals meanwhile, in the main thread; the system gives them to no other.

        Raises:
            KeyboardInterrupt: On Ctrl-C.
            Terminated: On SIGTERM.
        """
        before = {}
        if threading.current_thread() is threading.main_thread() and processes == 1:
            for number, handlers in OURS.items():
                if signal.getsignal(number) in handlers:
                    before[number] = signal.signal(number, self._take)
        try:
            yield
        except RuntimeError as error:
            if self.signal is None and KILLED not in str(error):
                raise
            raise interruption(self.signal or signal.SIGTERM) from None
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        if self.signal is not None:  # too late for another step
            raise interruption(self.signal)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Ask for a checkpoint."""
        if self.signal is not None:
            if args.save_strategy == SaveStrategy.NO:
                raise interruption(self.signal)
            control.should_save = True

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """End, for the checkpoint is written."""
        if self.signal is not None:
            raise interruption(self.signal)

    def _take(self, number: int, frame: Any) -> None:
        if self.signal is not None:
            raise interruption(number)
        self.signal = number


class EpochOfRows(TrainerCallback):
    """Tells the rows their epoch, by which chance is drawn, also in one that is resumed in its middle.

    There Accelerate's loader tells it to the sampler alone.
    """

    def __init__(self, rows: Any) -> None:
        self.rows = rows

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Set the epoch that begins, or goes on."""
        self.rows.set_epoch(int((state.epoch or 0) + 1e-6))


def interruption(number: int) -> BaseException:
    """What a signal raises."""
    return Terminated() if number == signal.SIGTERM else KeyboardInterrupt()
