"""Draw docs/keras-before-after.svg: ``python docs/make_keras_curves.py`` (needs matplotlib)."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
from make_curves import draw
from sklearn.datasets import load_breast_cancer

import fitwell
import keras

EPOCHS = 100


def main() -> None:
    """Tune a wide Keras model with too little regularization on the breast cancer table; draw it before and after."""
    x, y = load_breast_cancer(return_X_y=True)
    layers = [
        keras.Input((30,)),
        keras.layers.Dense(256, activation="relu", kernel_regularizer=keras.regularizers.L2(1e-5)),
        keras.layers.Dense(128, activation="relu"),
        keras.layers.Dense(1, activation="sigmoid"),
    ]
    model = keras.Sequential(layers)
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    result = fitwell.tune(model, x, y, strengths=32, epochs=EPOCHS, patience=EPOCHS, seed=0)
    print(result)
    chosen = next(g for g in result.search.histories.order if result.search.histories.epochs[g] == EPOCHS)
    plt.rcParams.update({"font.size": 10, "svg.fonttype": "none", "svg.hashsalt": "fitwell"})
    figure, axes = plt.subplots(figsize=(7.2, 3.4), layout="constrained")
    draw(axes, result, result.search.candidates.given, "unregularized", "as given")
    draw(axes, result, int(chosen), "chosen", str(result.search.candidates.regularization(int(chosen))))
    axes.set(yscale="log", xlabel="epoch", ylabel="cross-entropy, mean of 5 folds", xlim=(1, EPOCHS))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    figure.savefig(Path(__file__).with_name("keras-before-after.svg"), metadata={"Date": None})


if __name__ == "__main__":
    main()
