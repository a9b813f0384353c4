"""Strengths in other libraries' units.

| library | its objective for n rows | fitwell's l2 equals |
|---|---|---|
| Keras, TensorFlow.js `L2(l2)` | mean loss + l2 * sum w**2 | l2 |
| scikit-learn `MLPClassifier(alpha)` | mean loss + alpha / (2 n) * sum w**2 | alpha / (2 n) |
| scikit-learn `MLPRegressor(alpha)` | half the mean squared error + alpha / (2 n) * sum w**2 | alpha / n |
| scikit-learn `Ridge(alpha)` | sum of squared errors + alpha * sum w**2 | alpha / n |
| scikit-learn `LogisticRegression(C)` | C * sum of log losses + sum w**2 / 2 | 1 / (2 C n) |
| scikit-learn `Lasso(alpha)` | half the mean squared error + alpha * sum abs(w) | l1 = 2 alpha |
| AdamW, PyTorch SGD `weight_decay` | decoupled: w -= learning_rate * decay * w | decay / 2 (*) |

(*) The same step for plain gradient descent only.

`fitwell` minimises mean loss + l1 * sum abs(w) + l2 * sum w**2, with the squared error not halved.
"""

from __future__ import annotations


def l2_from_sklearn_mlp(alpha: float, rows: int, *, regression: bool = False) -> float:
    """Convert `alpha` of scikit-learn's MLP, trained on `rows` rows (of a batch: on `batch_size` rows).

    scikit-learn divides `alpha` by the rows of the *batch* in every step (`_multilayer_perceptron.py`,
    `_compute_loss_grad`), so with mini-batches pass the batch size; its regression loss is half the squared error.

    Examples
    --------
    >>> l2_from_sklearn_mlp(1.0, 200)
    0.0025
    """
    return alpha / rows if regression else alpha / (2 * rows)


def l2_to_sklearn_mlp(l2: float, rows: int, *, regression: bool = False) -> float:
    """Convert to `alpha` of scikit-learn's MLP: the inverse of `l2_from_sklearn_mlp`."""
    return l2 * rows if regression else l2 * 2 * rows


def l2_from_ridge(alpha: float, rows: int) -> float:
    """Convert `alpha` of scikit-learn's Ridge."""
    return alpha / rows


def l2_from_logistic_regression(c: float, rows: int) -> float:
    """Convert `C` of scikit-learn's LogisticRegression."""
    return 1 / (2 * c * rows)


def l1_from_lasso(alpha: float) -> float:
    """Convert `alpha` of scikit-learn's Lasso: twice it, since Lasso halves the squared error."""
    return 2 * alpha


def l2_from_weight_decay(decay: float) -> float:
    """Convert decoupled weight decay (AdamW, PyTorch): the gradient of ``l2 * sum w**2`` is ``2 * l2 * w``.

    The two are the same training only for gradient descent without momentum; Adam divides the gradient of `l2` by its
    running size, and decay not (Loshchilov and Hutter, ICLR 2019).
    """
    return decay / 2


def weight_decay_from_l2(l2: float) -> float:
    """Convert to decoupled weight decay: the inverse of `l2_from_weight_decay`."""
    return 2 * l2
