"""Weights that others have published, as an encoder."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional
from typer.testing import CliRunner

from napari_pu_segment.cli.main import app
from napari_pu_segment.core.compute.tiles import map_tiles
from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.model import load_model, save_model
from napari_pu_segment.core.networks import ENCODERS, NetworkSpec, build_network
from napari_pu_segment.core.networks.published import Published
from napari_pu_segment.core.pipeline import train
from napari_pu_segment.core.pretraining import views
from napari_pu_segment.core.pretraining.settings import PretrainSettings
from napari_pu_segment.core.pretraining.weights import read_weights, wanted
from napari_pu_segment.core.progress import run
from napari_pu_segment.core.samples import Sample
from napari_pu_segment.core.training.building import encoder_of
from napari_pu_segment.core.training.pu_settings import PuSettings
from napari_pu_segment.io import hub, write_image
from tests.helpers import disk_sample, disks

NAMES = [name for name, row in ENCODERS.items() if row.published]
TF = "tf_efficientnet_lite0"
RESNET = "resnet18_stages"
QUICK = PuSettings(n_steps=20, prior="fixed", class_prior=0.2, threads=1)


@pytest.fixture(scope="module", autouse=True)
def few_crops():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(views, "_MOST", 16)
        yield


def tensors_of(name, width=8, seed=0):
    """Random weights with timm's names, and a layer that no encoder here takes."""
    rng = torch.Generator().manual_seed(seed)
    found = {}
    for key, shape in wanted(name, width).items():
        found[key] = torch.rand(shape, generator=rng) if "var" in key else torch.randn(shape, generator=rng) / 2
    return {**found, "classifier.bias": torch.zeros(5)}


def network_of(name, in_channels=1, width=8):
    network = build_network(NetworkSpec(name=name, in_channels=in_channels, ndim=2, width=width), 0).eval()
    assert isinstance(network, Published)
    return network


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "published.safetensors"
    save_file(tensors_of(TF), path)
    return path


def test_names_and_shapes_are_those_of_timm():
    shapes = wanted(TF)
    assert shapes == wanted("efficientnet_lite0")
    assert shapes["conv_stem.weight"] == (32, 3, 3, 3)
    assert shapes["bn1.running_var"] == (32,)
    assert shapes["blocks.0.0.conv_dw.weight"] == (32, 1, 3, 3)
    assert shapes["blocks.0.0.conv_pw.weight"] == (16, 32, 1, 1)
    assert shapes["blocks.0.0.bn2.bias"] == (16,)
    assert shapes["blocks.2.1.conv_pw.weight"] == (240, 40, 1, 1)
    assert shapes["blocks.2.1.conv_dw.weight"] == (240, 1, 5, 5)
    assert shapes["blocks.2.1.conv_pwl.weight"] == (40, 240, 1, 1)
    assert shapes["blocks.2.1.bn3.running_mean"] == (40,)
    assert len(shapes) == 5 * (1 + 2 + 4 * 3)
    shapes = wanted(RESNET)
    assert shapes["conv1.weight"] == (64, 3, 7, 7)
    assert shapes["layer2.0.downsample.1.running_mean"] == (128,)
    assert len(shapes) == 5 * (1 + 4 + 5)


def published_stages(name, tensors, x):
    """Outputs of stem and stages as the published network computes them: norms on their own, stage by stage."""
    late = name.startswith("tf_")
    epsilon = 1e-3 if late else 1e-5
    mean, std = ((0.5,) * 3, (0.5,) * 3) if late else ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

    def layer(x, conv, norm, stride=1, groups=1):
        weight = tensors[f"{conv}.weight"]
        side, k = x.shape[-1], weight.shape[-1]
        room = max((side // stride - 1) * stride + k - side, 0)  # TensorFlow's rule: the odd pixel goes to the end
        before = room // 2 if late else k // 2
        x = functional.pad(x, (before, max(room - before, 0)) * 2) if late else functional.pad(x, (before,) * 4)
        parts = (tensors[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        return functional.batch_norm(functional.conv2d(x, weight, stride=stride, groups=groups), *parts, eps=epsilon)

    x = (x - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    x = functional.relu6(layer(x, "conv_stem", "bn1", 2))
    x = functional.relu6(layer(x, "blocks.0.0.conv_dw", "blocks.0.0.bn1", groups=x.shape[1]))
    found = [layer(x, "blocks.0.0.conv_pw", "blocks.0.0.bn2")]
    for stage in (1, 2):
        for number in (0, 1):
            at, before = f"blocks.{stage}.{number}", found[-1] if number == 0 else x
            x = functional.relu6(layer(before, f"{at}.conv_pw", f"{at}.bn1"))
            x = functional.relu6(layer(x, f"{at}.conv_dw", f"{at}.bn2", 2 - number, x.shape[1]))
            x = layer(x, f"{at}.conv_pwl", f"{at}.bn3") + (before if number else 0)
        found.append(x)
    return found


@pytest.mark.parametrize("name", ["efficientnet_lite0", TF])
def test_stages_are_those_of_the_published_network(name):
    tensors, network, seen = tensors_of(name), network_of(name, 3), []
    for stage in network.blocks:
        stage[-1].register_forward_hook(lambda module, given, made: seen.append(made))
    x = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    stages = published_stages(name, tensors, x)
    with torch.inference_mode():
        network.traits(x)
        assert not any(torch.allclose(a, b, atol=0.1) for a, b in zip(seen, stages, strict=True))
        network.take(tensors)
        seen.clear()
        network.traits(x)
    assert [tuple(one.shape[1:]) for one in seen] == [(4, 32, 32), (6, 16, 16), (10, 8, 8)]
    for ours, theirs in zip(seen, stages, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-4)


def test_stages_of_resnet_are_those_of_an_independent_one():
    from monai.networks.nets import resnet18

    theirs = resnet18(spatial_dims=2, n_input_channels=3, conv1_t_stride=2, shortcut_type="B", feed_forward=False)
    tensors, network, seen = tensors_of(RESNET, 64), network_of(RESNET, 3, 64), []
    own = theirs.state_dict()
    assert set(wanted(RESNET)) <= set(own)
    theirs.load_state_dict({**{key: tensors.get(key, one) for key, one in own.items()}, **_no_offset(own)})
    theirs.eval()
    x = torch.rand(2, 3, 64, 48, generator=torch.Generator().manual_seed(1))
    mean, std = (torch.tensor(one)[:, None, None] for one in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    for layer in (network.layer1, network.layer2):
        layer.register_forward_hook(lambda module, given, made: seen.append(made))
    with torch.inference_mode():
        stem = theirs.act(theirs.bn1(theirs.conv1((x - mean) / std)))
        first = theirs.layer1(theirs.maxpool(stem))
        stages = [stem, first, theirs.layer2(first)]
        network.take(tensors)
        traits = network.traits(x)
    assert traits.shape == (2, network.n_traits, 64, 48)
    assert network.n_traits == 64 + 64 + 128
    assert float(stages[2].std()) > 0.1
    # a place of the stem's grid is an even pixel, and between it and the next one lie three quarters of the way
    for ours, expected in zip([traits[:, :64, ::2, ::2], *seen], [between(stem), *stages[1:]], strict=True):
        scale = float(expected.abs().max())
        torch.testing.assert_close(ours / scale, expected / scale, atol=1e-5, rtol=1e-5)


def _no_offset(own):
    return {key: torch.zeros_like(one) for key, one in own.items() if key.endswith("downsample.0.bias")}


def between(maps):
    """Maps of half the side as they are enlarged to even pixels: a quarter of the neighbour before, but at the edge."""
    for axis in (2, 3):
        n = maps.shape[axis]
        before = maps.narrow(axis, 0, n).index_select(axis, torch.arange(n).sub(1).clamp_min(0))
        maps = 0.75 * maps + 0.25 * before
    return maps


def test_a_grey_image_looks_the_same_in_any_number_of_channels():
    tensors, x = tensors_of(TF), torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    found = []
    for n in (1, 3, 6):
        network = network_of(TF, n)
        network.take(tensors)
        with torch.inference_mode():
            found.append(network.traits(x.expand(1, n, -1, -1)))
    torch.testing.assert_close(found[1], found[0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found[2], found[0], atol=1e-4, rtol=1e-4)
    assert float(found[0].std()) > 0.01


@pytest.mark.parametrize("name", NAMES)
def test_traits_tell_of_their_own_place_and_of_nothing_beyond_the_halo(name):
    network = network_of(name)
    widths = [8, 8, 16] if name == RESNET else [4, 6, 10]
    if name == RESNET:
        network.pool = nn.AvgPool2d(3, 2, 1)  # of the same places; a maximum has no centre of gravity
    with torch.no_grad():
        for parameter in network.parameters():  # nothing saturates, all weights alike: a place's centre of gravity
            parameter.fill_(0.02 if parameter.ndim > 1 else 0.1)
    side, halo = 192, network.halo_px
    for at in (96, 99):
        x = (torch.rand(1, 1, side, side, generator=torch.Generator().manual_seed(1)) + 0.5).requires_grad_()
        traits = network.traits(x)[0, :, at, at]
        assert len(traits) == network.n_traits == sum(widths)
        for trait in (traits[0], traits[widths[0]], traits[-1]):
            weight = torch.autograd.grad(trait, x, retain_graph=True)[0][0, 0].abs().numpy()
            rows = weight.sum(1)
            assert rows.sum() > 0
            centre = (rows * np.arange(side)).sum() / rows.sum()
            assert centre - at == pytest.approx(0.5 if network.late else -0.5, abs=0.01)
            far = np.abs(np.arange(side) - at) > halo
            assert not weight[far].any()
            assert not weight[:, far].any()


@pytest.mark.parametrize("name", NAMES)
def test_tiles_agree(name, tmp_path):
    path = tmp_path / "x.safetensors"
    save_file(tensors_of(name), path)
    model = train([disk_sample()[0]], QUICK, start=encoder_with(path, name))
    image = np.random.default_rng(0).normal(60, 30, (1, 330, 347)).astype(np.float32)
    whole = run(map_tiles(model, image, tile_px=4096))
    for tile_px in (37, 100):
        np.testing.assert_array_equal(run(map_tiles(model, image, tile_px=tile_px)), whole)


def encoder_with(file, network=TF, n_steps=0, images=None):
    images = [disks(seed=seed)[0] for seed in (1, 2)] if images is None else images
    settings = PretrainSettings(n_steps=n_steps, threads=1, network=network, width=8)
    weights = read_weights(file, network, 8)
    return run(METHODS["pretrain"].train([Sample(image) for image in images], settings, weights=weights))


def test_the_weights_are_in_the_model_and_on_its_card(file, tmp_path):
    encoder, out = encoder_with(file), tmp_path / "model.safetensors"
    assert encoder.is_encoder
    assert encoder.card.weights.source == file.name
    model = train([disk_sample()[0]], QUICK, start=encoder)
    assert model.card.weights == encoder.card.weights
    assert model.card.network.encoder.n_maps == 8
    save_model(model, out)
    loaded = load_model(out)
    assert loaded.card == model.card
    assert encoder_of(loaded).card.weights == encoder.card.weights
    assert train([disk_sample()[0]], QUICK, start=loaded).card.weights == encoder.card.weights
    bare = train([disk_sample()[0]], QUICK)
    assert bare.card.weights is None
    assert "weights" not in json.loads(bare.card.to_json())
    same, other = encoder_with(file), encoder_with(file, n_steps=1)
    assert same.card.tensors_sha256 == encoder.card.tensors_sha256 != other.card.tensors_sha256


def damaged(tensors, fault):
    if fault == "missing":
        del tensors["blocks.1.0.bn2.bias"]
    elif fault == "shape":
        tensors["bn1.bias"] = torch.zeros(9)
    elif fault == "kind":
        tensors["bn1.bias"] = torch.zeros(8, dtype=torch.int32)
    elif fault == "infinite":
        tensors["bn1.bias"][3] = torch.inf
    return tensors


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("missing", "'blocks.1.0.bn2.bias' must be numbers of shape"),
        ("shape", "'bn1.bias' must be"),
        ("kind", "'bn1.bias' must be"),
        ("infinite", "not finite, in 'bn1.bias'"),
    ],
)
def test_other_tensors_are_refused(tmp_path, fault, words):
    path = tmp_path / "x.safetensors"
    save_file(tensors_of(TF), path)
    assert read_weights(path, TF, 8).tensors["bn1.bias"].shape == (8,)
    save_file(damaged(tensors_of(TF), fault), path)
    with pytest.raises(InputError, match=words):
        read_weights(path, TF, 8)


def test_what_are_no_weights_is_refused(file, tmp_path):
    with pytest.raises(InputError, match="Choose one of: efficientnet_lite0, tf_efficientnet_lite0, resnet18_stages"):
        read_weights(file, "small", 8)
    with pytest.raises(InputError, match="must be numbers of shape"):
        read_weights(file, TF)
    with pytest.raises(InputError, match=r"not those of 'resnet18_stages': 'conv1\.weight' must be numbers of shape"):
        read_weights(file, RESNET, 8)
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_weights(tmp_path / "absent", TF, 8)
    with pytest.raises(InputError, match="are no file"):
        read_weights(tmp_path, TF, 8)
    for content in (b"", file.read_bytes()[:-100], b"PK\3\4" + bytes(100)):
        (tmp_path / "x").write_bytes(content)
        with pytest.raises(InputError, match="are no file of safetensors, or damaged"):
            read_weights(tmp_path / "x", TF, 8)
    with pytest.raises(InputError, match="has learnt nothing"):
        run(METHODS["pretrain"].train([Sample(disks()[0])], PretrainSettings(n_steps=0)))
    volumes = PretrainSettings(n_steps=0, network=TF, width=8, dimensions="volume")
    volume = Sample(np.stack([disks()[0][0]] * 3)[None])
    with pytest.raises(InputError, match="is for planes"):
        run(METHODS["pretrain"].train([volume], volumes, weights=read_weights(file, TF, 8)))


def pretrain(folder, out, weights, *more):
    call = ["pretrain", str(folder), "--out", str(out), "--weights", str(weights), "--set", f"network={TF}"]
    return CliRunner().invoke(app, [*call, "--set", "width=8", "--set", "n_steps=0", "--set", "threads=1", *more])


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for seed in (1, 2):
        write_image(folder / f"{seed}.tif", disks(seed=seed)[0][0])
    return folder


def test_on_the_command_line(folder, file, tmp_path):
    out = tmp_path / "encoder.safetensors"
    done = pretrain(folder, out, file)
    assert done.exit_code == 0, done.output
    assert load_model(out).card.weights.source == "published.safetensors"
    assert "published.safetensors" in CliRunner().invoke(app, ["info", str(out)]).output
    done = pretrain(folder, out, file, "--set", "network=small")
    assert (done.exit_code, "takes no published weights" in done.output) == (1, True)
    done = pretrain(folder, file, file)
    assert (done.exit_code, "would replace an input" in done.output) == (1, True)


def test_a_name_needs_the_extra(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "find_spec", lambda name: None)
    done = pretrain(folder, tmp_path / "e", "timm/tf_efficientnet_lite0.in1k")
    assert (done.exit_code, "napari-pu-segment[pretrained]" in done.output) == (1, True)
    assert "https://huggingface.co/timm/tf_efficientnet_lite0.in1k/resolve/main/model.safetensors" in done.output


def test_a_name_is_fetched_or_found_in_the_cache(folder, file, tmp_path, monkeypatch):
    pytest.importorskip("huggingface_hub", reason="the extra `pretrained` is not installed")
    out, cache = tmp_path / "e.safetensors", tmp_path / "cache"
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    done = pretrain(folder, out, "lab/weights")
    assert (done.exit_code, "cannot be fetched from huggingface.co" in done.output) == (1, True)
    assert not out.exists()
    home = cache / "models--lab--weights"
    (home / "refs").mkdir(parents=True)
    (home / "refs" / "main").write_text("a" * 40)
    (home / "snapshots" / ("a" * 40)).mkdir(parents=True)
    (home / "snapshots" / ("a" * 40) / hub.FILE).write_bytes(file.read_bytes())
    done = pretrain(folder, out, "lab/weights")
    assert done.exit_code == 0, done.output
    weights = load_model(out).card.weights
    assert weights.source == "lab/weights"
    assert weights.sha256 == read_weights(file, TF, 8).origin.sha256
