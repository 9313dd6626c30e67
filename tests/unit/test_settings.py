from __future__ import annotations

import pytest

from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.methods.pu import PuSettings


@pytest.mark.parametrize("name", list(METHODS))
def test_every_field_is_described_and_survives_json(name):
    kind = METHODS[name].settings
    settings = kind()
    assert settings.to_dict()["method"] == name
    assert kind(**settings.to_dict()) == settings
    for field_name, field in kind.model_fields.items():
        assert field.title, field_name
        assert field.description, field_name
        assert field.title.isascii(), field_name


def test_text_is_converted():
    before = PuSettings()
    after = before.changed({"n_steps": "20", "class_prior": "0.3", "network": "unet"})
    assert (before.n_steps, before.network) != (20, "unet")
    assert (after.n_steps, after.class_prior, after.network) == (20, 0.3, "unet")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"nonsense": 1}, "no setting called 'nonsense'"),
        ({"n_steps": 0}, "n_steps"),
        ({"class_prior": 1.5}, "class_prior"),
        ({"class_prior": "nan"}, "class_prior"),
        ({"network": "nonsense"}, "pixel, unet"),
        ({"filters": []}, "filters"),
        ({"sigmas_px": [0]}, "sigmas_px"),
        ({"eta": -1.01}, "eta"),
    ],
)
def test_bad_values_are_named(values, words):
    with pytest.raises(InputError, match=words):
        PuSettings().changed(values)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"risk": "nonsense"}, "Setting 'risk' = 'nonsense' cannot be used: choose one of: "),
        ({"n_steps": 0}, "Setting 'n_steps' = 0 cannot be used: input should be greater than or equal to 1."),
    ],
)
def test_the_reason_is_given_in_plain_words(values, text):
    with pytest.raises(InputError) as refused:
        PuSettings().changed(values)
    assert str(refused.value).startswith(text)
    assert "Value error" not in str(refused.value)
