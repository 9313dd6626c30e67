"""Encoders that learn from images alone, and the networks that look through them."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage
from typer.testing import CliRunner

from napari_pu_segment.cli.main import app
from napari_pu_segment.core.clustering.settings import ClusterSettings
from napari_pu_segment.core.compute.tiles import map_tiles
from napari_pu_segment.core.curation.embed import through
from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.losses.contrastive import equal_shares, nt_xent, self_distillation, swapped_prediction
from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.model import load_model, save_model
from napari_pu_segment.core.networks import Encoder, NetworkSpec, build_network
from napari_pu_segment.core.networks.encoder import SmallEncoder
from napari_pu_segment.core.networks.pixel import PixelNetwork
from napari_pu_segment.core.pipeline import predict, train
from napari_pu_segment.core.pretraining import views
from napari_pu_segment.core.pretraining.self_supervised import OBJECTIVES
from napari_pu_segment.core.pretraining.settings import PretrainSettings
from napari_pu_segment.core.progress import run
from napari_pu_segment.core.samples import Sample, code_of
from napari_pu_segment.core.training import fit
from napari_pu_segment.core.training.building import encoder_of, prepare_basis
from napari_pu_segment.core.training.fit import FeatureCache
from napari_pu_segment.core.training.judge import judge
from napari_pu_segment.core.training.pu_settings import PuSettings
from napari_pu_segment.image_set import CHECKPOINT, EncodeSettings, encoding
from napari_pu_segment.io import write_image, write_picture
from tests.helpers import dice, disk_sample, disks

QUICK = PuSettings(n_steps=30, prior="fixed", class_prior=0.2, threads=1)


@pytest.fixture(scope="module", autouse=True)
def small():
    """Small crops, and few: a step takes milliseconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SmallEncoder, "n_unlabelled", 4)
        patch.setattr(SmallEncoder, "patch_px", 24)
        patch.setattr(views, "_MOST", 256)
        yield


def pretrained(n_steps=6, images=None, **settings):
    images = [disks(seed=seed)[0] for seed in (1, 2)] if images is None else images
    chosen = PretrainSettings(n_steps=n_steps, threads=1, **settings)
    return run(METHODS["pretrain"].train([Sample(image) for image in images], chosen))


@pytest.fixture(scope="module")
def encoder(small):
    return pretrained()


@pytest.fixture(scope="module")
def seeing(encoder):
    """A model that looks through the encoder."""
    return train([disk_sample()[0]], QUICK, start=encoder)


def test_nt_xent_by_hand():
    first, second = torch.tensor([[2.0, 0.0], [0.0, 3.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    # of each: its partner is at cosine 1, the two others at 0
    assert float(nt_xent(first, second, 1.0)) == pytest.approx(math.log(math.e + 2) - 1)
    # partners at 0, and one of the others at 1
    assert float(nt_xent(first, second.flip(0), 1.0)) == pytest.approx(math.log(math.e + 2))
    assert float(nt_xent(first, second, 0.5)) == pytest.approx(math.log(math.e**2 + 2) - 2)


def test_self_distillation_by_hand():
    teacher, none = torch.tensor([[0.04 * math.log(3), 0.0]]), torch.zeros(2)  # says 3/4 and 1/4
    assert float(self_distillation(torch.zeros(1, 2), teacher, none)) == pytest.approx(math.log(2))
    agreeing = torch.tensor([[0.1 * math.log(3), 0.0]])
    entropy = -0.75 * math.log(0.75) - 0.25 * math.log(0.25)
    assert float(self_distillation(agreeing, teacher, none)) == pytest.approx(entropy)
    centred = self_distillation(agreeing, teacher, teacher[0])  # says 1/2 and 1/2
    assert float(centred) == pytest.approx(-0.5 * math.log(0.75) - 0.5 * math.log(0.25))


def test_prototypes_get_equal_shares_by_hand():
    scores = 0.05 * torch.tensor([[4.0, 1.0], [1.0, 1.0]]).log()
    # columns of 5 and 2 are divided by their sums, then rows of 1.3 and 0.7
    once = [[0.8 / 1.3, 0.5 / 1.3], [0.2 / 0.7, 0.5 / 0.7]]
    np.testing.assert_allclose(equal_shares(scores, rounds=1), once, rtol=1e-5)
    # at the end the odds of odds are still 4, and p^2 / (1 - p)^2 = 4 has p = 2/3
    np.testing.assert_allclose(equal_shares(scores, rounds=50), [[2 / 3, 1 / 3], [1 / 3, 2 / 3]], rtol=1e-5)
    alike = torch.tensor([[0.4, 0.1], [0.5, 0.2], [0.3, 0.0]])  # all would be the first prototype's
    assert (alike.argmax(1) == 0).all()
    np.testing.assert_allclose(equal_shares(alike), torch.full((3, 2), 0.5), rtol=1e-5)
    shares = equal_shares(torch.tensor([[1.0, -1.0], [1.0, -0.9], [0.9, -1.0]]), rounds=200)
    np.testing.assert_allclose(shares.sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(shares.sum(0), 1.5, rtol=1e-3)


def test_swapped_prediction_by_hand():
    none = torch.zeros(2, 2)
    sure = 0.1 * math.log(3) * torch.eye(2)  # says 3/4 and 1/4; its code, of exp(s / 0.05) = 9, is 9/10 and 1/10
    assert float(swapped_prediction(none, none, 0.1)) == pytest.approx(math.log(2))
    agreeing = -0.9 * math.log(0.75) - 0.1 * math.log(0.25)
    assert float(swapped_prediction(sure, sure, 0.1)) == pytest.approx(agreeing, rel=1e-5)
    first = none.clone().requires_grad_()
    loss = swapped_prediction(first, sure, 0.1)
    assert loss.item() == pytest.approx((math.log(2) - 0.5 * math.log(0.75) - 0.5 * math.log(0.25)) / 2, rel=1e-5)
    loss.backward()  # of half a cross entropy, over 2 places: (says - code) / 4 t; nothing through its own code
    np.testing.assert_allclose(first.grad, [[-1.0, 1.0], [1.0, -1.0]], rtol=1e-4)


@pytest.mark.parametrize("sides", [(16, 16), (4, 16, 16)])
def test_places_of_two_views_are_the_same_and_lie_elsewhere_in_them(sides, monkeypatch):
    shape = views.crop_sides(sides)
    assert shape == [side * 5 // 4 for side in sides]
    crops = torch.arange(3 * math.prod(shape), dtype=torch.float32).reshape(3, 1, *shape)
    monkeypatch.setattr(views, "_changed", lambda x, rng: x)
    monkeypatch.setattr(views, "_turned", lambda x, turns, mirror: x)
    drawn = views.Views(crops, sides, 5)
    moves = []
    for seed in range(12):
        looks, places = drawn.draw(np.random.default_rng(seed))
        first, second = (views.at_places(look, place) for look, place in zip(looks, places, strict=True))
        assert looks[0].shape == looks[1].shape == (5, 1, *sides)
        assert first.shape == (5 * 8, 1)
        assert torch.equal(first, second)
        at = np.array([np.unravel_index(place.numpy(), sides) for place in places])  # (2, axes, n, places)
        quarter = np.array(sides)[:, None, None] // 4
        assert ((at >= quarter) & (at < np.array(sides)[:, None, None] - quarter)).all()
        moves.append((at[0] - at[1])[:, 0, 0])
    assert (np.abs(moves).max(0) == np.array(sides) // 4).all()  # as far as they may be apart
    assert len({int(move) % 4 for move in np.array(moves)[:, -1]}) == 4  # and not in steps of a grid


@pytest.mark.parametrize("sides", [(16, 16), (4, 16, 16)])
def test_places_of_turned_views_are_the_same(sides, monkeypatch):
    shape = views.crop_sides(sides)
    crops = torch.arange(3 * math.prod(shape), dtype=torch.float32).reshape(3, 1, *shape)
    monkeypatch.setattr(views, "_changed", lambda x, rng: x)
    for seed in range(6):
        looks, places = views.Views(crops, sides, 5).draw(np.random.default_rng(seed))
        first, second = (views.at_places(look, place) for look, place in zip(looks, places, strict=True))
        assert torch.equal(first, second)
        assert not torch.equal(looks[0], looks[1])


def test_views_differ_in_brightness(monkeypatch):
    crops = torch.rand(3, 2, 16, 16, generator=torch.Generator().manual_seed(0))
    looks, _ = views.Views(crops, (16, 16), 4).draw(np.random.default_rng(0))
    assert looks[0].shape == looks[1].shape == (4, 2, 16, 16)
    assert (looks[0].mean((1, 2, 3)) - looks[1].mean((1, 2, 3))).abs().min() > 1e-3


def test_crops_are_of_all_images():
    samples = [Sample(np.full((1, 30, 40), value, np.float32)) for value in (1, 2)]
    stats = [run_stats(samples) for _ in samples]
    crops = run(views.draw_crops(samples, stats, (24, 24), np.random.default_rng(0)))
    assert crops.shape == (256, 1, 24, 24)
    assert sorted(set(crops[:, 0, 0, 0].tolist())) == pytest.approx([0.0, 1.0], abs=0.02)


def run_stats(samples):
    return run(prepare_basis(samples, PretrainSettings(statistics="training"), None)).intensity


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_an_objective_is_learnt_and_a_seed_gives_the_same(objective, monkeypatch):
    said: list[float] = []
    rng = np.random.default_rng(0)
    images = [ndimage.gaussian_filter(rng.normal(size=(1, 96, 96)), (0, 3, 3)) for _ in range(2)]
    monkeypatch.setattr(fit.Ticker, "due", lambda self: True)

    def trained(n_steps, seed=0):
        settings = PretrainSettings(n_steps=n_steps, threads=1, objective=objective, seed=seed)
        work = METHODS["pretrain"].train([Sample(image) for image in images], settings)
        return run(work, lambda p: said.append(p.risk) if p.risk is not None else None)

    first = trained(200 if objective == "swav" else 80)
    if objective == "simclr":  # of 2 x 32 rows, by chance log(63)
        assert np.mean(said[:10]) > 0.95 * math.log(63)
        assert np.mean(said[-20:]) < 0.94 * math.log(63)
    else:  # of 64 answers or prototypes; all places alike would be log(64)
        assert np.mean(said[-10:]) < 0.96 * math.log(64)
        if objective == "swav":  # at first, views agree less than that
            assert np.mean(said[:10]) > math.log(64)
    assert first.is_encoder
    assert first.card.statistics == "image"
    hashes = [trained(5, seed).card.tensors_sha256 for seed in (0, 0, 1)]
    assert hashes[0] == hashes[1] != hashes[2]


def test_maps_are_principal_components():
    network = build_network(NetworkSpec(name="small", in_channels=1, ndim=2, width=4), 0)
    assert isinstance(network, Encoder)
    rng = torch.Generator().manual_seed(0)
    mixed = torch.randn(2000, 28, generator=rng) @ torch.randn(28, 28, generator=rng) + 5
    network.compress(mixed)
    maps = (mixed @ network.code.weight.detach()[:, :, 0, 0].T + network.code.bias.detach()).double()
    assert maps.shape == (2000, 16)
    np.testing.assert_allclose(maps.mean(0), 0, atol=1e-3)
    wanted = np.linalg.eigvalsh(np.corrcoef(mixed.numpy().T))[::-1][:16]
    np.testing.assert_allclose(np.cov(maps.numpy().T, bias=True), np.diag(wanted), atol=1e-2)


def test_an_encoder_is_a_model_file(encoder, tmp_path):
    file = tmp_path / "encoder.safetensors"
    save_model(encoder, file)
    loaded = load_model(file)
    assert loaded.card == encoder.card
    with pytest.raises(InputError, match="is an encoder"):
        predict(loaded, disks()[0])
    first, second = (train([disk_sample()[0]], QUICK, start=one) for one in (encoder, loaded))
    assert first.card.tensors_sha256 == second.card.tensors_sha256


def test_a_model_looks_through_the_encoder(encoder, seeing, tmp_path):
    sample, truth = disk_sample()
    spec = seeing.card.network
    assert spec.encoder.sha256 == encoder.card.tensors_sha256
    assert spec.n_features == 37 + 4
    assert dice(predict(seeing, sample.image) >= 0.5, truth) > 0.85
    same = seeing.network.encoder.state_dict()
    assert all(torch.equal(same[key], one) for key, one in encoder.network.state_dict().items())
    file = tmp_path / "model.safetensors"
    save_model(seeing, file)
    np.testing.assert_array_equal(predict(load_model(file), sample.image), predict(seeing, sample.image))
    further = train([sample], QUICK, start=seeing)
    assert further.card.network == spec
    assert encoder_of(further).card.tensors_sha256 == encoder.card.tensors_sha256
    assert encoder_of(train([sample], QUICK)) is None


def test_clusters_are_looked_for_through_the_encoder(encoder, tmp_path):
    (image, truth), file = disks(), tmp_path / "clusters.safetensors"
    settings = ClusterSettings(threads=1)
    alone, model = (train([Sample(image)], settings, start=one) for one in (None, encoder))
    assert (alone.card.network.encoder, alone.network.encoder) == (None, None)
    assert model.card.network.encoder.sha256 == encoder.card.tensors_sha256
    assert model.network.mixture.whiten.weight.shape[1] == alone.network.mixture.whiten.weight.shape[1] + 4
    assert model.network.mixture.whiten.weight[:, -4:].abs().max() > 0.01
    same = model.network.encoder.state_dict()
    assert all(torch.equal(same[key], one) for key, one in encoder.network.state_dict().items())
    whole = predict(model, image)
    assert dice(whole >= 0.5, truth) > 0.8
    save_model(model, file)
    np.testing.assert_array_equal(run(map_tiles(load_model(file), image, tile_px=37))[0], whole)
    again = train([Sample(image)], settings.changed({"objects": "darkest"}), start=model)
    assert torch.equal(again.network.mixture.whiten.weight, model.network.mixture.whiten.weight)
    assert not torch.equal(again.network.mixture.objects, model.network.mixture.objects)
    with pytest.raises(InputError, match="'pixel' and 'bank' and its own kind, not 'autoencoder'"):
        train([Sample(image)], settings.changed({"network": "autoencoder"}), start=encoder)


def test_every_class_looks_through_the_encoder(encoder):
    sample, truth = disk_sample()
    codes = sample.labels.copy()
    codes[70:][codes[70:] == 1] = code_of(1)
    model = train([replace(sample, labels=codes, classes=("a", "b"))], QUICK.changed({"n_steps": 10}), start=encoder)
    assert model.classes == ("a", "b")
    assert model.card.network.encoder.sha256 == encoder.card.tensors_sha256
    assert encoder_of(model).card.network == encoder.card.network
    probability = run(map_tiles(model, sample.image))
    assert probability.shape == (2, *truth.shape)
    np.testing.assert_array_equal(run(map_tiles(model, sample.image, tile_px=32)), probability)
    assert encoder_of(train([replace(sample, labels=codes, classes=("a", "b"))], QUICK, start=model)) is not None


def test_features_of_two_encoders_are_not_mixed_up(encoder, seeing):
    sample, cache = disk_sample()[0], FeatureCache()
    other = pretrained(seed=1)
    models = [run(METHODS["pu"].train([sample], QUICK, start=one, cache=cache)) for one in (encoder, other)]
    assert models[0].card.tensors_sha256 == seeing.card.tensors_sha256
    assert models[1].card.tensors_sha256 == train([sample], QUICK, start=other).card.tensors_sha256
    judged = run(judge([sample], seeing, cache=cache))
    assert len(judged.strokes) == 6


@pytest.mark.parametrize("shape", [(83, 61), (5, 400), (330, 347), (1, 1)])
def test_tiles_agree(seeing, shape):
    image = np.random.default_rng(0).normal(60, 30, (1, *shape)).astype(np.float32)
    whole = run(map_tiles(seeing, image, tile_px=4096))
    assert whole.shape == (1, *shape)
    for tile_px in (37, 100):
        np.testing.assert_array_equal(run(map_tiles(seeing, image, tile_px=tile_px)), whole)


@pytest.mark.parametrize("ndim", [2, 3])
def test_nothing_beyond_the_halo_of_an_encoder_matters(ndim):
    network = build_network(NetworkSpec(name="small", in_channels=1, ndim=ndim, width=4), 0).eval()
    assert isinstance(network, Encoder)
    network.compress(torch.randn(500, network.n_traits, generator=torch.Generator().manual_seed(0)))
    reaches = network.along(ndim, 0)
    shape = [reach.stride_px * (-(-(2 * reach.halo_px + 2) // reach.stride_px)) for reach in reaches]
    middle = tuple(side // 2 for side in shape)
    x = torch.rand(1, 1, *shape, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        before = network.maps(x)
        assert before.shape == (1, network.n_maps, *shape)
        for axis, reach in enumerate(reaches):
            far = x.clone()
            far.narrow(2 + axis, 0, middle[axis] - reach.halo_px).add_(1)
            at = (0, slice(None), *middle)
            torch.testing.assert_close(network.maps(far)[at], before[at], atol=1e-5, rtol=1e-5)
        near = x.clone()
        near[(0, 0, *middle)] += 1
        assert not torch.allclose(network.maps(near)[at], before[at], atol=1e-4)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_volumes(objective):
    volume = np.stack([disks((40, 44), seed=seed)[0][0] for seed in range(6)])[None]
    codes = np.zeros(volume.shape[1:], np.uint8)
    codes[3, 18:22, 18:22], codes[3, 4:6, 30:40] = 1, 2
    encoder = pretrained(2, [volume], dimensions="volume", objective=objective)
    model = train([Sample(volume, codes)], QUICK.changed({"dimensions": "volume", "n_steps": 5}), start=encoder)
    assert model.card.network.ndim == 3
    whole = run(map_tiles(model, volume))
    assert whole.shape == volume.shape
    np.testing.assert_array_equal(run(map_tiles(model, volume, tile_px=16)), whole)
    with pytest.raises(InputError, match="for volumes"):
        train([Sample(volume, codes)], QUICK, start=encoder)


def test_a_u_net_begins_as_its_encoder():
    encoder = pretrained(1, network="unet", width=8)
    assert encoder.card.network.name == "unet"
    sample, _ = disk_sample()
    settings = QUICK.changed({"network": "unet"})
    basis = run(prepare_basis([sample], settings, encoder))
    assert basis.spec.width == 8
    begun, known = basis.network().state_dict(), encoder.network.state_dict()
    anew = run(prepare_basis([sample], settings.changed({"width": 8}), None)).network().state_dict()
    assert all(torch.equal(begun[key], known[key]) for key in known)
    assert any(not torch.equal(begun[key], anew[key]) for key in known)
    through = train([sample], QUICK, start=encoder)
    assert isinstance(through.network, PixelNetwork)
    assert through.card.network.encoder.n_maps == 2


def test_what_does_not_fit_is_refused(encoder):
    sample, _ = disk_sample()
    with pytest.raises(InputError, match="not 'cnn'"):
        train([sample], QUICK.changed({"network": "cnn"}), start=encoder)
    with pytest.raises(InputError, match="has 2 channel"):
        train([disk_sample(n_channels=2)[0]], QUICK, start=encoder)
    with pytest.raises(InputError, match="no contrast"):
        pretrained(images=[np.ones((1, 30, 30), np.float32)])


def test_a_limit_of_time_ends_the_training():
    assert pretrained(100_000, max_minutes=1e-3).card.settings["max_minutes"] == 1e-3


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_training_that_was_cancelled_goes_on_to_the_same_bytes(objective, tmp_path):
    samples, path = [Sample(disks(seed=1)[0])], tmp_path / "x"
    settings = PretrainSettings(n_steps=12, threads=1, objective=objective)
    whole = run(METHODS["pretrain"].train(samples, settings))
    work = METHODS["pretrain"].train(samples, settings, checkpoint=path)
    progress = next(p for p in work if p.message == "Learning features")
    assert progress.step < 12
    assert not path.exists()
    work.close()
    assert path.exists()
    with pytest.raises(InputError, match="other images, or with other settings"):
        run(METHODS["pretrain"].train(samples, settings.changed({"n_steps": 13}), checkpoint=path))
    steps = []
    on = METHODS["pretrain"].train(samples, settings, checkpoint=path)
    after = run(on, lambda p: steps.append(p.step) if p.risk is not None else None)
    assert steps[0] == progress.step + 1
    assert after.card.tensors_sha256 == whole.card.tensors_sha256
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match="cannot be read"):
        run(METHODS["pretrain"].train(samples, settings, checkpoint=path))


def test_a_folder_and_its_encoder_on_the_command_line(tmp_path):
    folder, out = tmp_path / "images", tmp_path / "encoder.safetensors"
    folder.mkdir()
    for seed in (1, 2):
        write_image(folder / f"{seed}.tif", disks(seed=seed)[0][0])
    write_image(folder / "volume.tif", np.stack([disks(seed=4)[0][0]] * 3))
    (folder / "broken.tif").write_text("no image")
    which, settings = EncodeSettings(folder), PretrainSettings(n_steps=8, threads=1)
    work = encoding(which, settings, out)
    assert next(p for p in work if p.message == "Learning features")
    work.close()
    checkpoint = out.with_name(out.name + CHECKPOINT)
    assert checkpoint.exists()
    call = ["pretrain", str(folder), "--out", str(out), "--set", "n_steps=8", "--set", "threads=1"]
    done = CliRunner().invoke(app, call)
    assert done.exit_code == 0, done.output
    assert "from 2 image(s)" in done.output
    assert "refused" in done.output
    assert not checkpoint.exists()
    sample, truth = disk_sample()
    write_image(tmp_path / "a.tif", sample.image[0])
    write_image(tmp_path / "strokes.tif", sample.labels)
    call = ["train", str(tmp_path / "a.tif"), "--scribbles", str(tmp_path / "strokes.tif"), "--prior", "0.2"]
    model = tmp_path / "model.safetensors"
    done = CliRunner().invoke(app, [*call, "--encoder", str(out), "--out", str(model)])
    assert done.exit_code == 0, done.output
    assert load_model(model).card.network.encoder.sha256 == load_model(out).card.tensors_sha256
    assert dice(predict(load_model(model), sample.image) >= 0.5, truth) > 0.85
    wrong = CliRunner().invoke(app, [*call, "--encoder", str(model), "--out", str(tmp_path / "m")])
    assert (wrong.exit_code, "is no encoder" in wrong.output) == (1, True)
    wrong = CliRunner().invoke(app, [*call, "--start", str(out), "--out", str(tmp_path / "m")])
    assert (wrong.exit_code, "give it as --encoder" in wrong.output) == (1, True)
    with pytest.raises(InputError, match="no image in"):
        run(encoding(replace(which, pattern="*.png"), settings, out))


def test_images_are_compared_by_an_encoder(encoder, tmp_path):
    folder, out, file = tmp_path / "images", tmp_path / "report", tmp_path / "encoder.safetensors"
    folder.mkdir()
    images = {"a.tif": disks(seed=1)[0][0], "b.tif": disks(seed=2)[0][0], "c.tif": 300 - disks(seed=3)[0][0]}
    for name, image in images.items():
        write_image(folder / name, image)
    write_picture(folder / "rgb.png", disks(n_channels=3)[0].clip(0, 255).astype(np.uint8).transpose(1, 2, 0))
    save_model(encoder, file)
    call = ["curate", str(folder), "--out", str(out), "--json", "--encoder", str(file)]
    done = CliRunner().invoke(app, call)
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["encoder_sha256"] == encoder.card.tensors_sha256
    assert [one["name"] for one in told["refused"]] == ["rgb.png"]
    assert [one["most_similar"] for one in told["files"][:2]] == ["b.tif", "a.tif"]
    assert "encoder_sha256" not in json.loads(CliRunner().invoke(app, call[:-2]).stdout)
    window = np.full((1, 21, 30), 50.0)
    row = through(encoder, [window])
    assert row.shape == (32,)
    np.testing.assert_allclose(through(encoder, [window, window]), row, atol=1e-6)
