"""Objects described by an encoder: means of its maps, tiles, several planes, what does not fit, the command."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from napari_pu_segment.cli.main import app
from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.images.intensity import normalise
from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.model import save_model
from napari_pu_segment.core.networks.encoder import SmallEncoder
from napari_pu_segment.core.objects.classify import ClassifySettings, Scene, classify
from napari_pu_segment.core.objects.encoded import map_means
from napari_pu_segment.core.objects.measure import measure_objects
from napari_pu_segment.core.pretraining import views
from napari_pu_segment.core.pretraining.settings import PretrainSettings
from napari_pu_segment.core.progress import run
from napari_pu_segment.core.samples import Sample
from napari_pu_segment.io import write_image


def squares(seed=0, side=330):
    """Striped and plain squares of 15 px, in turn, on a grid: image (1, Y, X), labels, and which are striped."""
    rng = np.random.default_rng(seed)
    image, labels = rng.normal(0, 0.05, (side, side)), np.zeros((side, side), np.uint16)
    corners = [(y, x) for y in range(10, side - 20, 40) for x in range(10, side - 20, 40)]
    stripes = 1 + np.sign(np.sin(np.arange(15) * np.pi / 1.5))
    for k, (y, x) in enumerate(corners):
        image[y : y + 15, x : x + 15] += stripes if k % 3 == 0 else stripes.mean()
        labels[y : y + 15, x : x + 15] = k + 1
    return image[None].astype(np.float32), labels, np.arange(len(corners)) % 3 == 0


@pytest.fixture(scope="module")
def encoder():
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("n_unlabelled", 4), ("patch_px", 24)):
            patch.setattr(SmallEncoder, name, value)
        patch.setattr(views, "_MOST", 256)
        return run(METHODS["pretrain"].train([Sample(squares(1)[0])], PretrainSettings(n_steps=6, threads=1)))


def scene(image, labels, **more):
    return Scene(image, labels, run(measure_objects(labels, image)), **more)


def test_means_of_maps_worked_out_by_hand(encoder, monkeypatch):
    monkeypatch.setattr(SmallEncoder, "n_maps", 2)
    monkeypatch.setattr(SmallEncoder, "maps", lambda self, x: torch.cat([x, 10 * x], 1))
    image = np.zeros((1, 20, 23), np.float32)
    image[0, 4, 4:8] = 1, 2, 3, 6
    places = np.zeros((20, 23), np.int32)
    places[4, 4:6], places[4, 6:8] = 2, 1
    seen = run(encoder.for_image(image))
    values = normalise(image, seen.card.intensity)[0, 4]
    low, high = (values[4] + values[5]) / 2, (values[6] + values[7]) / 2
    assert 0 < low < high
    found = run(map_means(encoder, image, places, 3))
    assert found == pytest.approx(np.array([[high, 10 * high], [low, 10 * low], [0, 0]]))


def test_tiles_agree_with_the_whole(encoder):
    image, labels, _ = squares()
    assert image.shape[1] > SmallEncoder.window_px + 2 * SmallEncoder.halo_px, "it takes several tiles"
    seen = run(encoder.for_image(image))
    x = torch.from_numpy(np.pad(normalise(image, seen.card.intensity), ((0, 0), (0, 2), (0, 2)), mode="edge"))[None]
    with torch.inference_mode():
        whole = encoder.network.maps(x)[0, :, :330, :330].numpy()
    wanted = np.stack([whole[:, labels == k].mean(1) for k in range(1, labels.max() + 1)])
    found = run(map_means(encoder, image, labels, labels.max()))
    edge = SmallEncoder.halo_px
    inner = [k - 1 for k in np.unique(labels[edge:-edge, edge:-edge]) if k and k > 8 and k % 8 > 1]
    assert len(inner) > 40
    np.testing.assert_allclose(found[inner], wanted[inner], atol=1e-4)
    assert (found == run(map_means(encoder, image, labels, labels.max()))).all()


def test_classes_by_an_encoder(encoder):
    image, labels, striped = squares()
    settings = ClassifySettings(describe=("encoder",))
    one = scene(image, labels)
    found = run(classify([one], settings, encoder))
    assert (found.numbers == 1 + striped).all()
    planes, both = np.stack([image, image], 1), np.stack([labels, np.where(labels > 0, labels + labels.max(), 0)])
    stack = scene(planes, both)
    again = run(classify([stack], settings, encoder))
    assert (again.numbers == np.tile(1 + striped, 2)).all()


def test_what_does_not_fit_is_said(encoder):
    image, labels, _ = squares(side=160)
    settings = ClassifySettings(describe=("encoder",))
    with pytest.raises(InputError, match="but none is chosen"):
        run(classify([scene(image, labels)], settings))
    with pytest.raises(InputError, match=r"The image 'a' has 3 channel.*trained on 1"):
        run(classify([scene(np.repeat(image, 3, 0), labels, name="The image 'a'")], settings, encoder))


def test_the_command(encoder, tmp_path):
    image, labels, striped = squares(side=200)
    write_image(tmp_path / "i.tif", image[0])
    write_image(tmp_path / "o.tif", labels)
    save_model(encoder, tmp_path / "e.safetensors")
    call = ["classify", str(tmp_path / "i.tif"), "--objects", str(tmp_path / "o.tif"), "--out", str(tmp_path / "out")]
    seen = ["--encoder", str(tmp_path / "e.safetensors")]
    for half in (seen, ["--set", "describe=encoder"]):
        done = CliRunner().invoke(app, [*call, *half])
        assert (done.exit_code, "if both are given" in done.output) == (1, True)
    done = CliRunner().invoke(app, [*call, *seen, "--set", "describe=encoder,shapes"])
    assert done.exit_code == 0, done.output
    with open(tmp_path / "out" / "objects.csv", newline="", encoding="utf-8") as handle:
        assert [row["class"] for row in csv.DictReader(handle)] == [str(1 + one) for one in striped]
