"""The classes of objects of a session: names, colours, and which is painted on now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from psygnal import Signal

from napari_pu_segment.core.classes import unnamed
from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.samples import MAX_CLASSES, check_classes

from ..looks import CLASS_COLOURS

FIRST = "positive"  # role of the first class' brush layers
OTHERS = ("negative", "ignore")  # roles of brush layers of what is no object


@dataclass(frozen=True)
class ObjectClass:
    """One class.

    Parameters
    ----------
    role : str
        That of its brush layers; it stays when the class gets another name.
    name : str
    colour : str
        As "#RRGGBB".
    """

    role: str
    name: str
    colour: str


class ClassBook:
    """The classes, in the order of their numbers; at first there is one.

    Attributes
    ----------
    active : str
        Role of the class that is painted on, or was last.
    changed : Signal()
        A class was added, renamed, recoloured or removed, or another one is active.
    """

    changed = Signal()

    def __init__(self) -> None:
        self._classes = [ObjectClass(FIRST, unnamed(1)[0], CLASS_COLOURS[0])]
        self._former: dict[str, str] = {}  # roles by names that classes had before
        self._count = 1
        self.active = FIRST

    def __len__(self) -> int:
        return len(self._classes)

    def all(self) -> tuple[ObjectClass, ...]:
        """The classes, the first first."""
        return tuple(self._classes)

    @property
    def names(self) -> dict[str, str]:
        """Names by role."""
        return {one.role: one.name for one in self._classes}

    @property
    def colours(self) -> dict[str, str]:
        """Colours by role."""
        return {one.role: one.colour for one in self._classes}

    @property
    def brushes(self) -> tuple[str, ...]:
        """Roles of all brush layers: of classes, background, and what is ignored."""
        return (*self.names, *OTHERS)

    def of(self, role: str) -> ObjectClass | None:
        """The class with that role."""
        return next((one for one in self._classes if one.role == role), None)

    def called(self, name: str) -> ObjectClass | None:
        """The class with that name; or the one that had it, when a model was trained perhaps."""
        found = next((one for one in self._classes if one.name == name), None)
        return found or self.of(self._former.get(name, ""))

    def add(self, name: str = "", role: str = "") -> ObjectClass:
        """Add a class, and make it the active one.

        Parameters
        ----------
        name : str, optional
            Default: its number.
        role : str, optional
            That it had when its strokes were saved, if it is still free.

        Raises
        ------
        InputError
            If the name is taken, or is none, or there are too many classes.
        """
        if len(self) == MAX_CLASSES:
            raise InputError(f"There can be {MAX_CLASSES} classes of objects.")
        taken = {*self.names.values(), *self.names}
        self._count = next(
            n for n in range(self._count + 1, self._count + MAX_CLASSES + 2) if f"class {n}" not in taken
        )
        fresh = f"class {self._count}"
        check_classes([*self.names.values(), name or fresh])
        colours = [colour for colour in CLASS_COLOURS if colour not in {one.colour for one in self._classes}]
        colour = (colours or CLASS_COLOURS)[0]
        new = ObjectClass(role if role and role not in self.brushes else fresh, name or fresh, colour)
        self._classes.append(new)
        self.active = new.role
        self.changed.emit()
        return new

    def rename(self, role: str, name: str) -> None:
        """Give a class another name.

        Raises
        ------
        InputError
            If it is taken, or is none.
        """
        names = self.names
        if names.get(role) in (None, name.strip()):
            return
        check_classes(list({**names, role: name.strip()}.values()))
        self._former[names[role]] = role
        self._classes = [replace(one, name=name.strip()) if one.role == role else one for one in self._classes]
        self.changed.emit()

    def recolour(self, role: str, colour: str) -> None:
        """Give a class another colour, as "#RRGGBB"."""
        one = self.of(role)
        if one is not None and one.colour != colour:
            self._classes = [replace(each, colour=colour) if each is one else each for each in self._classes]
            self.changed.emit()

    def remove(self, role: str) -> None:
        """Remove a class, but for the first; its brush layers go with it."""
        if role != FIRST and role in self.names:
            self._classes = [one for one in self._classes if one.role != role]
            self.active = FIRST if self.active == role else self.active
            self.changed.emit()

    def choose(self, role: str) -> None:
        """Make a class the active one."""
        if role in self.names and role != self.active:
            self.active = role
            self.changed.emit()

    def restore(self, names: Mapping[str, str], colours: Mapping[str, str]) -> None:
        """Bring back classes as they were saved, names by role, and the colours that were chosen for some.

        Raises
        ------
        InputError
            If the names do not go together with those that there are.
        """
        for role, name in names.items():
            known = self.of(role)
            if known is None and self.called(name) is None:
                known = self.add(name, role)
            elif known is not None:
                self.rename(role, name)
            if known is not None and role in colours:
                self.recolour(known.role, colours[role])
