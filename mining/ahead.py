"""Work ahead of its consumer: items are made in a background thread and taken in their order."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from .meter.underway import so_far
from .processors import alone, threads

Item = TypeVar("Item")
Result = TypeVar("Result")

_DONE = object()
_WAKES_S = 0.2


class _Failed:
    """An error of the thread, on its way to where its item is due."""

    def __init__(self, error: BaseException):
        self.error = error


class Ahead(Generic[Item]):
    """Yields once what `make()` yields, up to `depth` items ahead, made in a thread called `name`.

    An error is raised in its turn. The thread owns the generator: it opens, works and closes there.

    It is never joined by its consumer. One that fails leaves its iterator to the garbage collector,
    which may run while `threading` holds its own locks, and a join there waits for ever. So closing
    sets a mark, and the thread ends at its next item. `after`: work that has to have ended before
    this one begins, since both use the same buffers.
    """

    def __init__(
        self,
        make: Callable[[], Generator[Item, None, None]],
        depth: int,
        name: str,
        after: Ahead[Item] | None = None,
    ):
        self._make, self._after = make, after
        self._items: queue.Queue[Any] = queue.Queue(depth)
        self._over = False
        self._thread = threading.Thread(target=self._produce, name=name, daemon=True)

    def __iter__(self) -> Generator[Item, None, None]:
        self._thread.start()
        try:
            while (item := self._items.get()) is not _DONE:
                if isinstance(item, _Failed):
                    raise item.error
                yield item
        finally:
            self._over = True

    def _produce(self) -> None:
        if self._after is not None:
            self._after._thread.join()
            self._after = None
        try:
            with contextlib.closing(self._make()) as items:
                for item in items:
                    self._put(item)
                    if self._over:
                        return
            self._put(_DONE)
        except BaseException as error:
            self._put(_Failed(error))

    def _put(self, item: Any) -> None:
        while not self._over:
            with contextlib.suppress(queue.Full):
                self._items.put(item, timeout=0.1)
                return


def in_turn(
    work: Callable[[Item], Result], items: Iterable[Item], most: int | None = None
) -> Iterator[Result]:
    """Yield work(item) of every item in their order, as many worked on at once as there are
    threads, or `most`; one more is finished ahead. An error is raised in its turn.

    `items` are taken by the calling thread, and each is worked on by one thread alone (`alone`).
    """
    count = most if most == 1 else min(threads(), most or threads())
    if count < 2:
        yield from map(work, items)
        return
    pool = ThreadPoolExecutor(count, "in-turn")
    waiting: deque[Future[Result]] = deque()
    failed: Exception | None = None
    source = iter(items)
    try:
        while True:
            try:
                item = next(source)
            except StopIteration:
                break
            except Exception as error:  # what was made before it comes first
                failed = error
                break
            waiting.append(pool.submit(_by_itself, work, item))
            if len(waiting) > count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
        if failed is not None:
            raise failed
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # no join: see `Ahead`


def _by_itself(work: Callable[[Item], Result], item: Item) -> Result:
    with alone():
        return work(item)


def _woken(ended: queue.SimpleQueue[Item]) -> Item:
    """Wait for an item, and wake in between: a signal that the system gave to another thread is
    handled when this one runs."""
    while True:
        with contextlib.suppress(queue.Empty):
            return ended.get(timeout=_WAKES_S)


def awaited(
    work: Callable[[Item], Result], items: Sequence[Item], count: int, stop: threading.Event
) -> list[Result]:
    """Return work(item) of every item in their order, `count` of them waited for at once.

    For work that waits for others, servers say, and computes little. The first error ends it; then,
    and when it is interrupted, `stop` is set: no further item is begun, and work that looks at it
    may end early. Nothing is joined, so that an interrupted process waits for no answer.
    """
    places = iter(range(len(items)))
    taking = threading.Lock()
    ended: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()

    def one_by_one() -> None:
        while not stop.is_set():
            with taking:
                place = next(places, None)
            if place is None:
                return
            try:
                ended.put((place, work(items[place])))
            except BaseException as error:
                ended.put((place, _Failed(error)))  # before others end because of it
                stop.set()

    results: list[Any] = [None] * len(items)
    try:
        for number in range(min(count, len(items))):
            threading.Thread(target=one_by_one, name=f"awaited-{number}", daemon=True).start()
        for number, _ in enumerate(items, 1):
            place, result = _woken(ended)
            if isinstance(result, _Failed):
                raise result.error
            results[place] = result
            so_far(number, len(items))
    except BaseException:
        stop.set()
        raise
    return results
