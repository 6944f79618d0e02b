"""Ctrl-C and SIGTERM in a training: it stops after the current step, with a checkpoint to resume from."""

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
"""The default handlers, which are replaced during a training; handlers of the user are kept."""
KILLED = "killed by signal: Terminated"
"""PyTorch's message about a worker that received the SIGTERM for all processes of the fit."""


class StopAtStep(TrainerCallback):
    """Stops a training after a signal, once a checkpoint of the current step is written.

    Resumed from there it reaches the same weights as an uninterrupted one. A second signal stops it at once,
    and so does the first with several processes, which would not all stop at the same step. A resumed
    training then starts from the last complete checkpoint.
    """

    def __init__(self) -> None:
        self.signal: int | None = None

    @contextmanager
    def listening(self, processes: int) -> Iterator[None]:
        """Handle the signals inside the block, in the main thread.

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
        if self.signal is not None:  # after the last step
            raise interruption(self.signal)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Request a checkpoint."""
        if self.signal is not None:
            if args.save_strategy == SaveStrategy.NO:
                raise interruption(self.signal)
            control.should_save = True

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Stop, after the checkpoint is written."""
        if self.signal is not None:
            raise interruption(self.signal)

    def _take(self, number: int, frame: Any) -> None:
        if self.signal is not None:
            raise interruption(number)
        self.signal = number


class EpochOfRows(TrainerCallback):
    """Sets the epoch of the rows, which keys their randomness, also when resumed within an epoch.

    There Accelerate's loader sets that of the sampler only.
    """

    def __init__(self, rows: Any) -> None:
        self.rows = rows

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Set the epoch that starts or resumes."""
        self.rows.set_epoch(int((state.epoch or 0) + 1e-6))


def interruption(number: int) -> BaseException:
    """The exception of a signal."""
    return Terminated() if number == signal.SIGTERM else KeyboardInterrupt()
