"""How far the shard of an actor is, on its way to the supervisor: a number in the cluster's own
key-value store, written twice a second at most. An actor that computes can answer no call."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable

from ..meter.underway import EVERY_S

_SPACE = "rankmill"
_LEAST_S = 2 * EVERY_S  # between two looks; a look takes a request for each attempt


def mouth(path: str) -> Callable[[float], None]:
    """Return what an actor tells its share to: of the shard whose attempt goes to `path`."""
    from ray.exceptions import RayError
    from ray.experimental import internal_kv

    def tell(share: float) -> None:
        with contextlib.suppress(RayError):  # what cannot be told ends no work
            internal_kv._internal_kv_put(path, f"{share:.4f}", namespace=_SPACE)

    return tell


class Ears:
    """Hears what actors say of the attempts under one folder."""

    def __init__(self, folder: str, clock: Callable[[], float] = time.monotonic):
        self.folder, self.clock = folder, clock
        self.looked, self.heard = clock(), False

    @property
    def due(self) -> bool:
        """Whether it is time to look again."""
        return self.clock() - self.looked >= _LEAST_S

    def hear(self, paths: Iterable[str]) -> dict[str, float]:
        """Return the share of each attempt of which one was said."""
        from ray.exceptions import RayError
        from ray.experimental import internal_kv

        self.looked, shares = self.clock(), {}
        if internal_kv._internal_kv_initialized():
            with contextlib.suppress(RayError):  # the next look may get an answer
                for path in paths:
                    said = internal_kv._internal_kv_get(path, namespace=_SPACE)
                    if said:
                        shares[path] = float(said)
        self.heard |= bool(shares)
        return shares

    def close(self) -> None:
        """Leave nothing in the cluster, which may be somebody else's."""
        from ray.exceptions import RayError
        from ray.experimental import internal_kv

        if self.heard:
            with contextlib.suppress(RayError):
                internal_kv._internal_kv_del(self.folder, del_by_prefix=True, namespace=_SPACE)
