"""Keys of ours in a viewer: only such as are free, and let go at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from napari.settings import get_settings
from napari.utils.key_bindings import coerce_keybinding

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
