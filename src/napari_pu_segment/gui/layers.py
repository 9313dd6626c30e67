"""Layers of the viewer: the one home of `layer.data`.

Brush layers belong to the user: they are made here, and from then on only read. Results go to layers of our own, found
again by identity, never by name.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Layer
from psygnal import Signal

from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.samples import Sample, codes_from_masks, to_channels_first
from napari_pu_segment.io import clean_unit

from .looks import brush_layer, result_layer

if TYPE_CHECKING:
    from napari.viewer import Viewer

KEY = "napari_pu_segment"  # our entry in a layer's metadata
BRUSHES = ("positive", "negative", "ignore")
RESULTS = ("probability", "mask", "refined")  # from the bottom to the top
MODEST_PX = 2**26  # the finest level of a multiscale image with at most so many pixels is worked on


@dataclass(frozen=True, eq=False)
class Snapshot:
    """What a job needs of the viewer: the image, and copies of the strokes that later painting cannot change.

    Parameters
    ----------
    image : array
        The level worked on, as it lies in the layer.
    axes : str
        One letter for each of its axes; see `core.samples.to_channels_first`.
    strokes : dict of str to ndarray
        Copies of the brush layers' data by role.
    name, pixel_size, pixel_unit
        As in `Sample`.
    """

    image: Any
    axes: str
    strokes: dict[str, np.ndarray]
    name: str
    pixel_size: tuple[float, ...]
    pixel_unit: str

    def sample(self) -> Sample:
        """The snapshot as a `Sample`; may take long for large images, so it is called inside the job."""
        image = self.image if hasattr(self.image, "transpose") else np.asarray(self.image)
        image = to_channels_first(image, self.axes)
        labels = None
        if self.strokes:
            shape = image.shape[1:]  # axes of length one are gone
            labels = codes_from_masks(**{role: data.reshape(shape) for role, data in self.strokes.items()})
        size = self.pixel_size[len(self.pixel_size) - (image.ndim - 1) :]
        return Sample(image, labels, name=self.name, pixel_size=size, pixel_unit=self.pixel_unit)


class LayerBook:
    """Which layers of a viewer belong together: an image, its brush layers and its results.

    What a layer is and whose is written in the layer's own metadata, as weak references, so that names are free, a
    duplicate is never mistaken for the original, and a widget that is opened later finds everything again.

    Parameters
    ----------
    viewer : napari.Viewer
        Given by napari as a proxy; layers are unwrapped, since identity counts here.

    Attributes
    ----------
    changed : Signal()
        A layer was added, removed, moved or renamed.
    """

    changed = Signal()

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        events = viewer.layers.events
        for event in (events.inserted, events.removed, events.reordered):
            event.connect(self._on_layers)
        for layer in self._layers():
            layer.events.name.connect(self._on_layers)

    def images(self) -> list[Image]:
        """The user's image layers, from bottom to top; our probability layers are left out."""
        return [
            layer for layer in self._layers() if isinstance(layer, Image) and _tag(layer).get("role") not in RESULTS
        ]

    def contains(self, layer: Layer | None) -> bool:
        """Whether the layer is (still) in the viewer."""
        return any(own is layer for own in self._layers())

    def selected_image(self) -> Image | None:
        """The selected image, or the image of the selected brush layer or result."""
        active = _own(self._viewer.layers.selection.active)
        for image in self.images():
            if active is image or (active is not None and _belongs(active, image)):
                return image
        return None

    def member(self, image: Image, role: str) -> Layer | None:
        """The brush layer or result of an image, or None if there is none in the viewer."""
        for layer in self._layers():
            if _tag(layer).get("role") == role and _belongs(layer, image):
                return layer
        return None

    def add_brushes(self, image: Image, roles: tuple[str, ...] = BRUSHES[:2]) -> None:
        """Add the brush layers that the image does not have yet.

        Raises
        ------
        InputError
            If the image has an axis besides planes, rows, columns and RGB samples.
        """
        _axes(image)
        shape, _ = _grid(image)
        for role in reversed(roles):  # the positive one ends on top
            layer = self.member(image, role)
            if layer is None:
                layer = brush_layer(image.name, role, np.zeros(shape, np.uint8), **_placement(image))
                self._add(image, role, layer, above=self._layers()[-1])
            elif "layer" not in _tag(layer):  # brought along by sample data
                _sign(layer, role, image)
            else:
                continue
            layer.brush_size = max(1, round(min(shape[-2:]) / 100))  # about a hundredth of the image wide

    def paint(self, image: Image, role: str) -> bool:
        """Select a brush layer and take up the brush; False if the image has no such brush layer."""
        layer = self.member(image, role)
        if layer is None:
            return False
        layer.visible = True
        self._viewer.layers.selection.active = layer
        layer.mode = "paint"
        layer.selected_label = 1
        return True

    def snapshot(self, image: Image) -> Snapshot:
        """Freeze an image and its strokes.

        Raises
        ------
        InputError
            If the image has an axis besides planes, rows, columns and RGB samples, or a brush layer's shape changed.
        """
        shape, data = _grid(image)
        strokes = {}
        for role in BRUSHES:
            layer = self.member(image, role)
            if layer is not None:
                if tuple(layer.data.shape) != shape:
                    raise InputError(
                        f"The layer {layer.name!r} measures {tuple(layer.data.shape)} pixels, but the image "
                        f"{image.name!r} {shape}. Delete that layer and add brush layers again."
                    )
                strokes[role] = np.array(layer.data)
        placement = _placement(image)
        unit = clean_unit(f"{placement['units'][-1]:~}")
        known = unit not in ("px", "")
        size = tuple(abs(float(step)) for step in placement["scale"]) if known else ()
        return Snapshot(data, _axes(image), strokes, image.name, size, unit if known else "px")

    def show(self, image: Image, role: str, data: np.ndarray | None) -> None:
        """Show one result over its image: update our layer, or make it where it is missing.

        The selected layer and its mode stay as they are, so that the user can go on painting.

        Parameters
        ----------
        image : Image
        role : {"probability", "mask", "refined"}
        data : ndarray, ([Z,] Y, X), or None
            None takes the layer away: an old result beside a new one would be a lie.

        Raises
        ------
        InputError
            If the image is no longer in the viewer, or no longer of that shape.
        """
        shape, _ = _grid(image)
        planes = shape[1:] if len(shape) == 3 and shape[0] == 1 else shape  # as `Snapshot.sample` takes it
        if not self.contains(image) or (data is not None and data.shape not in (shape, planes)):
            raise InputError(
                f"The image {image.name!r} was removed or changed its shape meanwhile, so its result is not shown."
            )
        layer = self.member(image, role)
        if data is None:
            if layer is not None:
                self._viewer.layers.remove(layer)
        elif layer is None:
            below = [self.member(image, lower) for lower in RESULTS[: RESULTS.index(role)]]
            layer = result_layer(image.name, role, data.reshape(shape), **_placement(image))
            self._add(image, role, layer, above=next((one for one in reversed(below) if one is not None), image))
            _tag(layer)["shown"] = data
        elif _tag(layer).get("shown") is not data:
            layer.data = data.reshape(shape)
            _tag(layer)["shown"] = data

    def _layers(self) -> list[Layer]:
        return [_own(layer) for layer in self._viewer.layers]

    def _add(self, image: Image, role: str, layer: Layer, above: Layer) -> None:
        layers = self._viewer.layers
        selection, active = {_own(one) for one in layers.selection}, _own(layers.selection.active)
        index = next(i for i, own in enumerate(self._layers()) if own is above)
        _sign(layer, role, image)  # before those who hear of the new layer ask whose it is
        layers.insert(index + 1, layer)
        layers.selection.clear()
        layers.selection.update(selection)
        layers.selection.active = active

    def _on_layers(self, event: Any) -> None:
        if event.type == "inserted":
            event.value.events.name.connect(self._on_layers)
        self.changed.emit()


def _own(layer: Any) -> Any:
    return getattr(layer, "__wrapped__", layer)


def _tag(layer: Layer) -> dict[str, Any]:
    return layer.metadata.get(KEY, {})  # type: ignore[no-any-return]


def _sign(layer: Layer, role: str, image: Image) -> None:
    layer.metadata[KEY] = {"role": role, "image": weakref.ref(image), "layer": weakref.ref(layer)}


def _belongs(layer: Layer, image: Image) -> bool:
    tag = _tag(layer)
    if "layer" in tag:  # a duplicate carries its original's tag, and is the user's own
        return tag["layer"]() is layer and tag["image"]() is image
    return "id" in tag and tag["id"] == _tag(image).get("id")


def _axes(image: Image) -> str:
    named = [str(label).lower() for label in image.axis_labels]
    if image.ndim > 3 or any(label in ("c", "channel", "channels") for label in named):
        names = "" if named[0].startswith("-") else f" ({', '.join(named)})"  # napari numbers those without a name
        raise InputError(
            f"The image {image.name!r} has {image.ndim} axes{names}. Choose an image with rows and columns, and "
            "planes if need be; split the others with Layers > Data > Split Stack."
        )
    return "ZYX"[3 - image.ndim :] + ("S" if image.rgb else "")


def _grid(image: Image) -> tuple[tuple[int, ...], Any]:
    """Spatial shape and data of the level that is worked on."""
    data = image.data
    if image.multiscale:
        data = _own(data[_level(image)])
    return tuple(data.shape[: image.ndim]), data


def _level(image: Image) -> int:
    sizes = [int(np.prod(level.shape[: image.ndim])) for level in image.data]
    return next((i for i, size in enumerate(sizes) if size <= MODEST_PX), len(sizes) - 1)


def _placement(image: Image) -> dict[str, Any]:
    """Where the worked-on level lies in the world, as keyword arguments of a layer."""
    scale, translate = np.array(image.scale), np.array(image.translate)
    if image.multiscale:
        factor = np.asarray(image.downsample_factors)[_level(image)][: image.ndim]
        translate = translate + (factor - 1) / 2 * scale  # a coarse pixel's centre is that of the block it stands for
        scale = scale * factor
    return {
        "scale": scale,
        "translate": translate,
        "rotate": image.rotate,
        "shear": image.shear,
        "affine": image.affine,
        "units": image.units,
        "axis_labels": image.axis_labels,
    }
