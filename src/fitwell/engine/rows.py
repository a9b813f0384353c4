"""Row sets as index arrays of one shape, which is what a program is compiled for."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fitwell.data.row_sets import RowSets

Leaf = Any
"""A JAX array in the program; a NumPy array on the host; the number of a mapped axis in a specification."""


class Rows(NamedTuple):
    """One row set as indices into the data, padded so that all row sets have one shape.

    Attributes
    ----------
    id
        int [], which row set this is: random numbers come from it, never from its place in a block.
    train, n_train
        int [m_max] and how many of them are real.
    measured, n_measured
        int [h_max]: a random part of the training rows, as many as are held out, on which the training loss is
        measured.
    held_out, n_held_out
        int [h_max] and how many of them are real; none in a refit on all rows.
    """

    id: Leaf
    train: Leaf
    n_train: Leaf
    measured: Leaf
    n_measured: Leaf
    held_out: Leaf
    n_held_out: Leaf


def make_rows(row_sets: RowSets, seed: int) -> Rows:
    """Turn row sets into padded index arrays [R, ...], and draw the training rows on which loss is measured."""
    train, n_train, held_out, n_held_out = row_sets.padded()
    # as many as are held out are enough to compare, and cost no more
    n_measured = np.minimum(n_train, n_held_out).astype(np.int32)
    measured = np.zeros((row_sets.count, int(n_measured.max(initial=0))), np.int32)
    for r, identity in enumerate(row_sets.ids):
        # by what the row set is, not by its place: alone or among others it measures the same rows
        generator = np.random.default_rng([seed, int(identity)])
        measured[r, : n_measured[r]] = generator.permutation(train[r, : n_train[r]])[: n_measured[r]]
    ids = np.asarray(row_sets.ids, np.int32)
    return Rows(ids, train, n_train.astype(np.int32), measured, n_measured, held_out, n_held_out.astype(np.int32))
