"""Matrix products whose sums run in one order.

A product of a BLAS library is cut by its threads, and where it is cut its kernels add in another
order: the last bits of a sum then depend on the machine's load or an environment variable. Here
each entry is summed from the first term to the last, by one thread.
"""

import numba
import numpy as np

_jit = numba.njit(cache=True, nogil=True)


@_jit
def ordered_product(left, right, out):
    """Write left · right to `out` float64 [n, m]; left float64 [n, k], right float64 [k, m].

    out[i, j] = Σ left[i, t]·right[t, j], added for t = 0, 1, … in float64; 0 where k = 0. Columns
    are independent of each other, so the compiler vectorises over j without changing a sum.
    """
    n, k, m = left.shape[0], left.shape[1], right.shape[1]
    for i in range(n):
        for j in range(m):
            out[i, j] = 0.0
        for t in range(k):
            factor = np.float64(left[i, t])
            for j in range(m):
                out[i, j] += factor * right[t, j]
