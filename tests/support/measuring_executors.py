"""What every executor must measure."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np


def check_measured(case: Any, variables: Any, parts: list[Any]) -> None:
    """Outputs and losses of networks [R, any number] are the network's own on the held-out rows."""
    outputs, losses = (np.concatenate([part[i] for part in parts], axis=1) for i in (1, 2))
    for r, held_out in enumerate(case.row_sets.held_out):
        for g in range(outputs.shape[1]):
            own = jax.tree.map(lambda leaf, at=(r, g): leaf[at], variables)
            expected = case.network.apply(own, case.dataset.inputs[r, held_out], None)[0]
            np.testing.assert_allclose(outputs[r, g, : len(held_out)], expected, rtol=1e-4, atol=1e-5)
            loss = case.loss.per_row(expected, case.dataset.targets[r, held_out])
            np.testing.assert_allclose(losses[r, g, : len(held_out)], loss, rtol=1e-4, atol=1e-5)
