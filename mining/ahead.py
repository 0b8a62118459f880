"""Work ahead of its consumer: items are made in a background thread and taken in their order."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")

_DONE = object()


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
