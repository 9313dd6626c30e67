"""A form made from a `Settings` class: one row for each field, the advanced ones folded away."""

from __future__ import annotations

import re
from typing import Any, Generic, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo
from qtpy.QtCore import QEvent, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QLabel,
    QLineEdit,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible
from superqt.utils import signals_blocked

from napari_pu_segment.core.settings import OneOf, SettingsT

from .combo import Combo
from .number_box import NumberBox, SliderBox, decimal_point

LARGEST_INT = 2**31 - 1  # what a Qt spin box can hold
_LONG_NAME, _LONG_ENTRY = 22, 11  # letters
_ANY_PX = 2**24 - 1  # no limit; superqt keeps the height of when it was unfolded, too little if a fold inside follows


class ListEdit(QLineEdit):
    """A line of values separated by commas: 0.7, 1, 1.6; where the locale has a decimal comma 0,7; 1; 1,6."""

    def values(self) -> list[str]:
        """The values as text, with decimal points."""
        if decimal_point(self) == ",":
            return [part.rstrip(",").replace(",", ".") for part in re.split(r"[;\s]+", self.text()) if part]
        return [part for part in re.split(r"[,;\s]+", self.text()) if part]

    def set_values(self, values: Any) -> None:
        """Show these values."""
        texts, point = [str(value).removesuffix(".0") for value in values], decimal_point(self)
        self.setText(("; " if point == "," else ", ").join(text.replace(".", point) for text in texts))
        self.setCursorPosition(0)  # a narrow line shows its beginning


class SettingsForm(QWidget, Generic[SettingsT]):
    """Edits a value of a `Settings` class.

    Parameters
    ----------
    kind : type of Settings
        The titles, descriptions, bounds and defaults of its fields make the rows. A field with a single possible value
        (the tag of the method) gets no row.
    parent : QWidget, optional

    Attributes
    ----------
    changed : Signal()
        The user or `set_value` changed something.
    """

    changed = Signal()

    def __init__(self, kind: type[SettingsT], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._kind = kind
        self._rows: dict[str, Any] = {}
        self._rules: dict[str, dict[str, list[Any]]] = {}
        basic, folded = QFormLayout(), QFormLayout()
        own = [name for name in kind.model_fields if name in kind.__annotations__]  # before what the parents bring
        for name, field in sorted(kind.model_fields.items(), key=lambda item: item[0] not in own):
            if len(get_args(field.annotation)) == 1 and get_origin(field.annotation) is Literal:
                continue
            row = _row(field)
            label = field.title or name.replace("_", " ").capitalize()
            row.setToolTip(field.description or label)
            row.setObjectName(name)
            extra: Any = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
            layout = folded if extra.get("advanced") else basic
            if "only_if" in extra:
                self._rules[name] = extra["only_if"]
            name_label = QLabel(label)
            name_label.setToolTip(row.toolTip())
            _add(layout, name_label, row)
            row.installEventFilter(self)
            self._rows[name] = row
            _edited(row).connect(self.changed)
        self._lay_out(basic, folded)
        self.changed.connect(self._enable)
        self.set_value(kind())
        self._enable()

    def value(self) -> SettingsT:
        """The settings as shown.

        Raises
        ------
        InputError
            If something shown cannot be used; the text says which setting and why.
        """
        return self._kind(**{name: _get(row) for name, row in self._rows.items()})

    def set_value(self, settings: SettingsT) -> None:
        """Show these settings; `changed` is emitted once, and only if they differ from what was shown."""
        before = {name: _get(row) for name, row in self._rows.items()}
        with signals_blocked(self):
            for name, row in self._rows.items():
                _set(row, getattr(settings, name))
        if before != {name: _get(row) for name, row in self._rows.items()}:
            self.changed.emit()

    def eventFilter(self, watched: Any, event: QEvent | None) -> bool:
        """Leave the mouse wheel to the scroll area, unless the row was clicked first."""
        if event is not None and event.type() == QEvent.Type.Wheel and not watched.hasFocus():
            event.ignore()
            return True
        return super().eventFilter(watched, event)

    def _enable(self) -> None:
        """Only what has an effect can be edited; see `core.settings.only_if`."""
        for name, rule in self._rules.items():
            row, field = self._rows[name], self._kind.model_fields[name]
            met = all(_get(self._rows[other]) in values for other, values in rule.items())
            titles = {other: self._kind.model_fields[other].title for other in rule}
            why = ", ".join(
                f"{titles[other]} is set to {' or '.join(_shown(self._rows[other], value) for value in values)}"
                for other, values in rule.items()
            )
            row.setEnabled(met)
            row.setToolTip(field.description if met else f"{field.description} It has an effect only where {why}.")

    def _lay_out(self, basic: QFormLayout, folded: QFormLayout) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(basic)
        for form in (basic, folded):
            form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
            form.setContentsMargins(0, 0, 0, 0)
        if folded.rowCount():
            inner = QWidget()
            inner.setLayout(folded)
            advanced = fold("Advanced", inner)
            advanced.setToolTip("Settings that seldom need a change")
            layout.addWidget(advanced)


def fold(title: str, inner: QWidget) -> QCollapsible:
    """A widget under a title that unfolds it."""
    folded = QCollapsible(title)
    folded.setDuration(0)
    folded.setCollapsedIcon("▸")
    folded.setExpandedIcon("▾")
    layout = folded.layout()
    if layout is not None:
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)  # also above and below a widget of no height, which superqt keeps there
    folded.setContent(inner)
    folded.collapse(animate=False)

    def let_grow(unfolded: bool) -> None:
        if unfolded:
            inner.setMaximumHeight(_ANY_PX)

    folded.toggled.connect(let_grow)
    return folded


def _add(layout: QFormLayout, name_label: QLabel, row: Any) -> None:
    """A row, its name above where there is no room for both in a narrow dock.

    Not left to `QFormLayout.WrapLongRows`: a fold is given the height that rows have side by side.
    """
    entries = [row.itemText(i) for i in range(row.count())] if isinstance(row, QComboBox) else []
    long_name = len(name_label.text()) > _LONG_NAME and not isinstance(row, QCheckBox)
    if long_name or any(len(entry) > _LONG_ENTRY for entry in entries):
        layout.addRow(name_label)
        layout.addRow(row)
    else:
        layout.addRow(name_label, row)


def _row(field: FieldInfo) -> Any:
    """An empty editor for one field, with its choices or bounds."""
    kind, table = field.annotation, next((one.table for one in field.metadata if isinstance(one, OneOf)), None)
    if table is not None or get_origin(kind) is Literal:
        row = Combo()
        for key in table if table is not None else get_args(kind):
            about = key if table is None else table[key]  # a title, or a row that has one
            row.addItem(str(about if isinstance(about, str) else getattr(about, "title", key)), key)
        return row
    if kind is bool:
        return QCheckBox()
    if isinstance(field.json_schema_extra, dict) and "slider" in field.json_schema_extra:
        return _bounded(SliderBox(*field.json_schema_extra["slider"]), field)  # type: ignore[misc]
    if kind in (int, float):
        return _still(_bounded(QSpinBox() if kind is int else NumberBox(), field))
    if kind is str:
        return QLineEdit()
    if get_origin(kind) is tuple:
        return ListEdit()
    raise TypeError(f"A form has no row for a setting of type {kind}.")


def _bounded(box: Any, field: FieldInfo) -> Any:
    nudge: Any = 1 if isinstance(box, QSpinBox) else 1e-12  # from an excluded bound to the next number
    if isinstance(box, QSpinBox):
        box.setRange(-LARGEST_INT, LARGEST_INT)
    bounds: list[Any] = field.metadata
    for bound in bounds:
        if isinstance(bound, Ge):
            box.setMinimum(bound.ge)
        elif isinstance(bound, Gt):
            box.setMinimum(bound.gt + nudge)
        elif isinstance(bound, Le):
            box.setMaximum(bound.le)
        elif isinstance(bound, Lt):
            box.setMaximum(bound.lt - nudge)
    return box


def _still(row: Any) -> Any:
    row.setMinimumWidth(80)
    row.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # the wheel alone does not give it the focus
    return row


def _edited(row: Any) -> Any:
    if isinstance(row, QComboBox):
        return row.currentIndexChanged
    if isinstance(row, QCheckBox):
        return row.toggled
    return row.textChanged if isinstance(row, QLineEdit) else row.valueChanged


def _shown(row: Any, value: Any) -> str:
    """A value as its row shows it."""
    return str(row.itemText(row.findData(value)) if isinstance(row, QComboBox) else value)


def _get(row: Any) -> Any:
    if isinstance(row, ListEdit):
        return row.values()
    if isinstance(row, QComboBox):
        return row.currentData()
    if isinstance(row, QCheckBox):
        return row.isChecked()
    return row.text() if isinstance(row, QLineEdit) else row.value()


def _set(row: Any, value: Any) -> None:
    if isinstance(row, ListEdit):
        row.set_values(value)
    elif isinstance(row, QComboBox):
        row.setCurrentIndex(row.findData(value))
    elif isinstance(row, QCheckBox):
        row.setChecked(value)
    elif isinstance(row, QLineEdit):
        row.setText(value)
    else:
        row.setValue(value)
