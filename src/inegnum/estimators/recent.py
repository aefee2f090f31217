"""Results that consume random numbers, given again when the same is asked of the same generator.

Variants of a model share parts of their fit. A part asked for again, of equal inputs and with the
generator in the same state, is the same to the last digit: it is handed back, and the generator is
left where it was left the first time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

__all__ = ["Recent"]


class Recent[T]:
    """The last few results of one computation.

    Parameters
    ----------
    size : int
        How many are kept.

    Examples
    --------
    >>> recent = Recent(2)
    >>> first, again = np.random.default_rng(1), np.random.default_rng(1)
    >>> a = recent.get("x", first, lambda: first.random())
    >>> b = recent.get("x", again, lambda: again.random())
    >>> a == b, first.random() == again.random()
    (True, True)
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._kept: OrderedDict[Hashable, tuple[T, dict[str, Any]]] = OrderedDict()

    def get(self, key: Hashable, rng: np.random.Generator, compute: Callable[[], T]) -> T:
        """Return the result of `compute`, which draws from `rng` and spawns nothing from it.

        Parameters
        ----------
        key : hashable
            Everything the result depends on beside the generator.
        rng : numpy Generator
        compute : callable
        """
        whole = (key, repr(rng.bit_generator.state))
        if whole not in self._kept:
            value = compute()
            self._kept[whole] = (value, dict(rng.bit_generator.state))
            if len(self._kept) > self.size:
                self._kept.popitem(last=False)
        self._kept.move_to_end(whole)
        value, rng.bit_generator.state = self._kept[whole]
        return value
