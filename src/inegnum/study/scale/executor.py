"""The one place that knows where work runs: processes of this machine, or a Dask cluster.

Work is a pure function of a shared object and an item. Results come back in any order; a piece lost
with its worker is computed again by another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from inegnum.errors import MissingDependencyError

__all__ = ["each"]

# Workers that may die under one piece before it is held responsible.
_RETRIES: Final = 5


def each[J, T, R](
    function: Callable[[J, T], R],
    job: J,
    items: Sequence[T],
    *,
    workers: int = 0,
    scheduler: str = "",
) -> Iterator[R]:
    """Yield ``function(job, item)`` for every item, as each ends.

    Parameters
    ----------
    function : callable
        Importable by name on every worker; pure.
    job : object
        Sent to each worker once.
    items : sequence
    workers : int
        Processes of this machine; 0 for as many as it has processors. Nothing for an address.
    scheduler : str
        ``""`` for joblib's processes, ``"local"`` for a Dask cluster here, or an address.

    Raises
    ------
    MissingDependencyError
        A scheduler is asked for and Dask is not installed.
    """
    if scheduler:
        yield from _dask(function, job, items, workers, scheduler)
    else:
        yield from _joblib(function, job, items, workers)


def _joblib[J, T, R](
    function: Callable[[J, T], R], job: J, items: Sequence[T], workers: int
) -> Iterator[R]:
    from joblib import Parallel, delayed

    parallel = Parallel(n_jobs=workers or -1, return_as="generator_unordered", batch_size=1)
    yield from parallel(delayed(function)(job, item) for item in items)


def _dask[J, T, R](
    function: Callable[[J, T], R], job: J, items: Sequence[T], workers: int, scheduler: str
) -> Iterator[R]:
    distributed = _distributed()
    with _client(distributed, workers, scheduler) as client:
        # As a task, not as scattered data: what a dead worker held is made again.
        held = client.submit(_same, job, pure=False, retries=_RETRIES)
        futures = [
            client.submit(function, held, item, pure=False, retries=_RETRIES) for item in items
        ]
        for future in distributed.as_completed(futures):
            yield future.result()
            future.release()


def _same[J](job: J) -> J:
    return job


@contextmanager
def _client(distributed: Any, workers: int, scheduler: str) -> Iterator[Any]:
    if scheduler != "local":
        with distributed.Client(scheduler) as client:
            yield client
        return
    # One thread a worker: numerical libraries run one thread each, and memory stays bounded.
    with (
        distributed.LocalCluster(
            n_workers=workers or None, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def _distributed() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise MissingDependencyError(
            "a scheduler is asked for and Dask is not installed",
            where="scale.scheduler",
            hint="install the extra: pip install 'inegnum[scale]'",
        ) from error
    return distributed
