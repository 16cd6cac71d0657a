"""Mean and its error of many columns, block by block of rows, without keeping the rows."""

import numpy as np
from jaxtyping import Float

__all__ = ["RunningMean"]


class RunningMean:
    """Mean of the rows seen so far and the sum of their squared distances from it.

    Blocks are merged by the pairwise formula, which keeps its digits where the spread is small against the mean.

    Args:
        n_columns: Length of each row.

    References:
        T. F. Chan, G. H. Golub, R. J. LeVeque, Updating formulae and a pairwise algorithm for computing sample
        variances, Stanford report STAN-CS-79-773 (1979).

    Example:
        >>> mean = RunningMean(1)
        >>> mean.add(np.array([[1.0], [2.0]]))
        >>> mean.add(np.array([[6.0]]))
        >>> mean.mean.tolist()
        [3.0]
    """

    def __init__(self, n_columns: int) -> None:
        self.n = 0
        self.mean: Float[np.ndarray, " c"] = np.zeros(n_columns)
        self._squares: Float[np.ndarray, " c"] = np.zeros(n_columns)

    def add(self, rows: Float[np.ndarray, "m c"]) -> None:
        """Take in more rows, ``(m, c)``, float64."""
        if not len(rows):
            return
        mean = rows.mean(axis=0)
        away = rows - mean
        squares = np.einsum("mc,mc->c", away, away)
        total = self.n + len(rows)
        apart = mean - self.mean
        self.mean += apart * (len(rows) / total)
        self._squares += squares + apart**2 * (self.n * len(rows) / total)
        self.n = total

    @property
    def error(self) -> Float[np.ndarray, " c"]:
        """Standard error of the mean, ``(c,)``; NaN with fewer than two rows."""
        if self.n < 2:
            return np.full(len(self.mean), np.nan)
        return np.sqrt(self._squares / (self.n - 1) / self.n)
