"""Where the parts of a table are computed: processes of this machine, or the machines of a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeVar

from polymodal.errors import ConfigError, RunError

R = TypeVar("R")
Engine = Literal["processes", "ray"]
ENDED = "perhaps for lack of memory; the parts so far stay. Go on with the same command and fewer --workers"


class WorkerEnded(Exception):
    """A process that computed a part ended before it had done so."""


def by_processes(work: Callable[..., R], calls: Iterator[Sequence[Any]], workers: int) -> Iterator[R]:
    """What ``work`` returns for the arguments of each call, as each is done.

    Args:
        work: Runs in a process of its own.
        calls: Arguments.
        workers: Processes.

    Raises:
        WorkerEnded: If a process ended.
    """
    from joblib import Parallel, delayed
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    processes = Parallel(workers, return_as="generator_unordered", pre_dispatch="1.5*n_jobs")
    try:
        yield from processes(delayed(work)(*arguments) for arguments in calls)
    except TerminatedWorkerError:
        raise WorkerEnded(f"a process ended, {ENDED}") from None


def by_ray(
    work: Callable[..., R], calls: Iterator[Sequence[Any]], workers: int, needs: Mapping[str, float]
) -> Iterator[R]:
    """The same on the cluster that ``RAY_ADDRESS`` names, or one that this call starts on this machine.

    Its machines need the same paths: the folder of the run, the media and the output.

    Args:
        work: Runs in a process of a worker.
        calls: Arguments.
        workers: Calls at once.
        needs: What a call takes: ``num_cpus``, ``num_gpus``.

    Raises:
        ConfigError: If Ray is not installed.
        RunError: If there is no such cluster.
        WorkerEnded: If a worker ended several times.
    """
    ray = require_ray()
    remote = ray.remote(work).options(**needs)
    waiting: list[Any] = []
    try:
        for arguments in calls:
            if len(waiting) == workers:
                (done,), waiting = ray.wait(waiting)
                yield ray.get(done)
            waiting.append(remote.remote(*arguments))
        while waiting:
            (done,), waiting = ray.wait(waiting)
            yield ray.get(done)
    except ray.exceptions.RayTaskError as error:
        raise error.cause or WorkerEnded(f"a worker of Ray failed ({error}), {ENDED}") from None
    except ray.exceptions.RayError as error:
        raise WorkerEnded(f"a worker of Ray ended ({type(error).__name__}), {ENDED}") from None
    finally:
        for each in waiting:
            ray.cancel(each, force=True)


def require_ray() -> Any:
    """The module, connected to a cluster.

    Raises:
        ConfigError: If it is not installed.
        RunError: If the cluster does not answer, or none can be started.
    """
    try:
        import ray
    except ImportError:
        raise ConfigError("--engine ray needs Ray: pip install 'polymodal[ray]'") from None
    if not ray.is_initialized():
        try:
            ray.init(log_to_driver=False)
        except (ConnectionError, OSError, RuntimeError, ValueError, TimeoutError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise RunError(f"Ray cannot be reached or started ({reason})") from None
    return ray
