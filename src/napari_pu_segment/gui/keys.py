"""Keys of ours in a viewer: only such as are free, and let go at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from napari.settings import get_settings
from napari.utils.key_bindings import coerce_keybinding

from .viewer.classes import ClassBook

if TYPE_CHECKING:
    from napari.viewer import Viewer


def free_keys(viewer: Viewer, choices: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """The first of several sets of keys of which neither napari, nor the user's settings, nor a plugin uses any.

    Parameters
    ----------
    viewer : napari.Viewer
    choices : sequence of sequences of str
        Such as ``[("Q", "W"), ("Shift-Q", "Shift-W")]``.

    Returns
    -------
    tuple of str
        Empty if none of the sets is free.
    """
    taken = {str(coerce_keybinding(key)) for keys in get_settings().shortcuts.shortcuts.values() for key in keys}
    taken |= {str(coerce_keybinding(key)) for key in viewer.keymap}
    return next((tuple(keys) for keys in choices if not {str(coerce_keybinding(key)) for key in keys} & taken), ())


class KeySet:
    """Actions on keys of a viewer, from the first set of keys that is free.

    Parameters
    ----------
    viewer : napari.Viewer
    choices : sequence of sequences of str
        See `free_keys`; each as long as there are actions.
    actions : mapping of str to callable

    Attributes
    ----------
    keys : dict of str to str
        The key of each action; empty where no set is free.
    """

    def __init__(
        self, viewer: Viewer, choices: Sequence[Sequence[str]], actions: Mapping[str, Callable[[], object]]
    ) -> None:
        self._viewer, self._actions = viewer, dict(actions)
        self.keys = dict(zip(self._actions, free_keys(viewer, choices), strict=False))
        self._bound = False

    def bind(self) -> None:
        """Take the keys."""
        if not self._bound:
            self._bound = True
            for name, key in self.keys.items():
                self._viewer.bind_key(key, lambda _viewer, name=name: self.press(name), overwrite=True)

    def release(self) -> None:
        """Let the keys go."""
        if self._bound:
            self._bound = False
            for key in self.keys.values():
                self._viewer.bind_key(key, None, overwrite=True)

    def press(self, name: str) -> None:
        """Do what the key of an action does."""
        self._actions[name]()


# napari's labels layers take the bare digits for their tools.
CLASS_KEYS = tuple([f"{held}{number}" for number in range(1, 10)] for held in ("", "Alt-", "Control-Shift-"))


class ClassKeys:
    """Keys for the brushes of the first nine classes, where there are several.

    Parameters
    ----------
    viewer : napari.Viewer
    classes : ClassBook
    paint : callable
        Takes up the brush of the class with a role.

    Attributes
    ----------
    keys : tuple of str
        Of the first class, the second and so on; empty where no set is free.
    """

    def __init__(self, viewer: Viewer, classes: ClassBook, paint: Callable[[str], object]) -> None:
        self._classes, self._paint, self._there = classes, paint, False
        numbers = range(9)
        self._set = KeySet(viewer, CLASS_KEYS, {str(number): partial(self._take, number) for number in numbers})
        self.keys = tuple(self._set.keys.values())
        classes.changed.connect(self._follow)

    def bind(self) -> None:
        """Take the keys, now or when there are several classes."""
        self._there = True
        self._follow()

    def release(self) -> None:
        """Let the keys go."""
        self._there = False
        self._set.release()

    def texts(self) -> dict[str, str]:
        """The keys, and what they do."""
        names = list(self._classes.names.values())
        return {key: f"take up the brush of {name}" for key, name in zip(self.keys, names, strict=False) if names[1:]}

    def _follow(self) -> None:
        if self._there and len(self._classes) > 1:
            self._set.bind()
        else:
            self._set.release()

    def _take(self, number: int) -> None:
        roles = list(self._classes.names)
        if number < len(roles):
            self._paint(roles[number])
