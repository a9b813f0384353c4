"""Spellings: camelCase is read like snake_case, and names are left alone."""

from __future__ import annotations

import pytest

from fitwell.tfjs.spelling import camel, snake, snake_case


def test_camel_case_is_read_like_snake_case() -> None:
    """Keys, and texts that are settings; names and classes stay as they are."""
    found = snake_case(
        {"useBias": True, "dataFormat": "channelsLast", "activation": "hardSigmoid", "name": "myLayer", "beta1": 1,
         "kernelInitializer": {"className": "VarianceScaling", "config": {"distribution": "truncatedNormal"}},
         "layer": {"class_name": "LSTM", "config": {"name": "innerLstm", "unitForgetBias": [True]}}}
    )  # fmt: skip
    assert found == {
        "use_bias": True, "data_format": "channels_last", "activation": "hard_sigmoid", "name": "myLayer", "beta1": 1,
        "kernel_initializer": {"class_name": "VarianceScaling", "config": {"distribution": "truncated_normal"}},
        "layer": {"class_name": "LSTM", "config": {"name": "innerLstm", "unit_forget_bias": [True]}},
    }  # fmt: skip
    assert snake_case(found) == found


@pytest.mark.parametrize("name", ["meanSquaredError", "learningRate", "beta1", "units"])
def test_names_go_there_and_back(name: str) -> None:
    """Of settings, which begin with a small letter."""
    assert camel(snake(name)) == name
    assert snake(camel(snake(name))) == snake(name)
