"""The form shows every number as it is, and gives back what it was given."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import Field

pytest.importorskip("napari")

from qtpy.QtCore import QLocale, QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication, QCheckBox, QComboBox, QLabel, QLineEdit, QSpinBox, QVBoxLayout, QWidget
from superqt import QCollapsible

from napari_pu_segment.core.clustering.clusters import CLUSTERERS
from napari_pu_segment.core.crf import CRF_PRESETS, CrfSettings
from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.methods.pu import PuSettings
from napari_pu_segment.core.objects.classify import ClassifySettings
from napari_pu_segment.core.settings import OneOf, Settings, advanced
from napari_pu_segment.gui.parts.column import Column
from napari_pu_segment.gui.parts.combo import Combo
from napari_pu_segment.gui.parts.settings_form import NumberBox, SettingsForm, fold

TABLE = {"first": "The first", "second": "The second"}


class Example(Settings):
    method: Literal["example"] = "example"
    kind: Annotated[str, OneOf(TABLE)] = Field("first", title="Kind", description="Which one.")
    rate: float = Field(1e-3, gt=0, le=1, title="Rate", description="A small number.")
    count: int = Field(7, ge=1, le=10, title="Count", description="A whole number.")
    on: bool = Field(True, title="On", description="Yes or no.")
    sizes_px: tuple[float, ...] = Field((0.7, 1.0, 10.0), title="Sizes (px)", description="Some numbers.")
    names: tuple[str, ...] = advanced(default=("a", "b"), title="Names", description="Some words.")
    mode: Literal["auto", "manual"] = advanced(default="auto", title="Mode", description="How.")
    word: str = advanced(default="x", title="Word", description="Text.")


CLASSES = [*(method.settings for method in METHODS.values()), CrfSettings, Example]


@pytest.fixture
def form(qtbot):
    form = SettingsForm(Example)
    qtbot.addWidget(form)
    return form


@pytest.fixture
def french():
    before = QLocale()
    QLocale.setDefault(QLocale(QLocale.Language.French, QLocale.Country.France))
    yield
    QLocale.setDefault(before)


def other(kind):
    """Settings of a class in which as many fields as possible differ from the default."""
    default, values = kind(), {}
    for name, field in kind.model_fields.items():
        value = getattr(default, name)
        options = [not value] if isinstance(value, bool) else []
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            options = [value * 3 + 1, value / 3, value + 1, value - 1]
        if isinstance(value, tuple):
            options = [value[:-1]]
        for marker in field.metadata:
            if isinstance(marker, OneOf):
                options = [key for key in marker.table if key != value]
        for option in options:
            try:
                default.changed({name: option})
            except InputError:
                continue
            values[name] = option
            break
    return default.changed(values)


@pytest.mark.parametrize("kind", CLASSES)
def test_every_settings_class_goes_round(qtbot, kind):
    form = SettingsForm(kind)
    qtbot.addWidget(form)
    assert form.value() == kind()
    changed = other(kind)
    assert changed != kind()
    form.set_value(changed)
    assert form.value() == changed


@pytest.mark.parametrize("kind", CLASSES)
def test_every_row_has_a_title_and_says_what_it_is_for(qtbot, kind):
    form = SettingsForm(kind)
    qtbot.addWidget(form)
    labels = {label.text(): label.toolTip() for label in form.findChildren(QLabel)}
    for name, field in kind.model_fields.items():
        if name != "method":
            assert labels[field.title] == field.description
            assert field.description


def test_presets_go_round(qtbot):
    form = SettingsForm(CrfSettings)
    qtbot.addWidget(form)
    for preset in CRF_PRESETS.values():
        form.set_value(preset)
        assert form.value() == preset


def test_each_kind_of_field_gets_its_editor(form):
    assert isinstance(form.findChild(QComboBox, "kind"), QComboBox)
    assert form.findChild(QComboBox, "kind").currentText() == "The first"
    assert form.findChild(NumberBox, "rate").text() == "0.001"
    box = form.findChild(QSpinBox, "count")
    assert (box.minimum(), box.maximum(), box.value()) == (1, 10, 7)
    assert form.findChild(QCheckBox, "on").isChecked()
    assert form.findChild(QLineEdit, "sizes_px").text() == "0.7, 1, 10"
    assert form.findChild(QComboBox, "method") is None  # nothing to choose


def test_advanced_fields_are_folded_away(qtbot, form):
    form.show()
    folded = form.findChild(QCollapsible)
    assert folded.isAncestorOf(form.findChild(QLineEdit, "word"))
    assert not folded.isAncestorOf(form.findChild(NumberBox, "rate"))
    assert not folded.isExpanded()
    no_gap = folded.toggleButton().sizeHint().height() + 4
    assert folded.sizeHint().height() <= no_gap, "where nothing is unfolded"
    folded.expand(animate=False)
    assert folded.isExpanded()


def test_a_fold_inside_a_fold_squashes_nothing(qtbot):
    outside, form = QWidget(), SettingsForm(Example)
    qtbot.addWidget(outside)
    outer = fold("More", form)
    QVBoxLayout(outside).addWidget(outer)
    outside.resize(300, 900)
    outside.show()
    inner = form.findChild(QCollapsible)
    rows = [form.findChild(QSpinBox, "count"), *(form.findChild(QLineEdit, name) for name in ("sizes_px", "word"))]
    assert form.height() == 0
    outer.toggleButton().click()
    qtbot.waitUntil(lambda: form.height() > 0)
    inner.toggleButton().click()
    qtbot.waitUntil(lambda: all(row.height() >= row.minimumSizeHint().height() for row in rows))
    outer.toggleButton().click()
    qtbot.waitUntil(lambda: form.height() == 0)


@pytest.mark.parametrize(
    ("value", "text"),
    [(1e-3, "0.001"), (1e-6, "1e-06"), (0.1 + 0.2, "0.30000000000000004"), (1 / 3, "0.3333333333333333"), (30.0, "30")],
)
def test_a_number_is_shown_as_it_is(qtbot, value, text):
    box = NumberBox()
    qtbot.addWidget(box)
    box.setValue(value)
    assert box.text() == text
    assert box.value() == value


def test_numbers_are_shown_as_the_locale_writes_them(qtbot, french):
    form = SettingsForm(Example)
    qtbot.addWidget(form)
    assert form.findChild(NumberBox, "rate").text() == "0,001"
    sizes = form.findChild(QLineEdit, "sizes_px")
    assert sizes.text() == "0,7; 1; 10"
    assert form.value() == Example()
    for typed in ("0,7; 1,5 10", "0.7, 1.5, 10"):
        sizes.setText(typed)
        assert form.value().sizes_px == (0.7, 1.5, 10)


@pytest.mark.parametrize("typed", ["0.25", "0,25", "2.5e-1"])
def test_a_comma_is_understood(qtbot, french, typed):
    box = NumberBox()
    qtbot.addWidget(box)
    box.setRange(0, 1)
    box.setValue(0.5)
    box.lineEdit().selectAll()
    qtbot.keyClicks(box, typed)
    qtbot.keyClick(box, Qt.Key.Key_Return)
    assert box.value() == 0.25


def test_letters_and_numbers_out_of_range_are_not_taken(qtbot):
    box = NumberBox()
    qtbot.addWidget(box)
    box.setRange(0, 1)
    box.setValue(0.5)
    box.lineEdit().selectAll()
    qtbot.keyClicks(box, "x7y")
    qtbot.keyClick(box, Qt.Key.Key_Return)
    assert 0 <= box.value() <= 1


@pytest.mark.parametrize(("value", "up"), [(0.001, 0.0011), (0.5, 0.51), (30.0, 31.0), (0.0, 0.01)])
def test_a_step_is_a_tenth_of_the_decade(qtbot, value, up):
    box = NumberBox()
    qtbot.addWidget(box)
    box.setValue(value)
    box.stepUp()
    assert box.value() == up


@pytest.mark.parametrize(("row", "text", "about"), [("sizes_px", "1, two", "sizes_px"), ("sizes_px", "1; 2", None)])
def test_a_line_of_values_is_checked(form, row, text, about):
    form.findChild(QLineEdit, row).setText(text)
    if about is None:
        assert form.value().sizes_px == (1.0, 2.0)
    else:
        with pytest.raises(InputError, match=about):
            form.value()


def test_changed_is_said_once_and_only_on_change(qtbot, form):
    heard = []
    form.changed.connect(lambda: heard.append(1))
    form.set_value(Example())
    assert heard == []
    form.set_value(Example(rate=0.5, count=2))
    assert heard == [1]
    form.findChild(QSpinBox, "count").setValue(3)
    assert heard == [1, 1]


def test_the_wheel_does_not_change_a_number_in_passing(qtbot, form):
    form.show()
    box = form.findChild(QSpinBox, "count")
    event = QWheelEvent(
        QPointF(5, 5), QPointF(box.mapToGlobal(QPoint(5, 5))), QPoint(0, 0), QPoint(0, 120),
        Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    form.setFocus()
    assert not box.hasFocus()
    QApplication.sendEvent(box, event)
    assert box.value() == 7


def test_a_setting_without_effect_is_disabled_and_says_when_it_has_one(qtbot):
    form = SettingsForm(PuSettings)
    qtbot.addWidget(form)
    prior, fixed = form.findChild(QComboBox, "prior"), form.findChild(QWidget, "class_prior")
    assert form.value().prior == "auto"
    assert not fixed.isEnabled()
    assert "Class prior is set to Fixed" in fixed.toolTip()
    prior.setCurrentIndex(prior.findData("fixed"))
    assert fixed.isEnabled()
    assert "Class prior is set to" not in fixed.toolTip()
    form.set_value(PuSettings(class_prior=0.4))
    assert not fixed.isEnabled()
    assert form.value().class_prior == 0.4


def test_one_of_several_values_gives_a_setting_its_effect(qtbot):
    form = SettingsForm(METHODS["cluster"].settings)
    qtbot.addWidget(form)
    network, steps = form.findChild(QComboBox, "network"), form.findChild(QWidget, "n_steps")
    assert (form.value().network, steps.isEnabled()) == ("bank", False)
    assert "only where Features is set to Autoencoder or Hypercolumns (autoencoder)." in steps.toolTip()
    for name in ("autoencoder", "hypercolumns"):
        network.setCurrentIndex(network.findData(name))
        assert steps.isEnabled()
        assert "only where" not in steps.toolTip()
        network.setCurrentIndex(network.findData("bank"))
        assert not steps.isEnabled()


def test_a_setting_that_heeds_several_choices_is_grey_for_the_others(qtbot):
    form = SettingsForm(ClassifySettings)
    qtbot.addWidget(form)
    clusterer, number = form.findChild(QComboBox, "clusterer"), form.findChild(QSpinBox, "n_classes")
    for name in CLUSTERERS:
        clusterer.setCurrentIndex(clusterer.findData(name))
        assert number.isEnabled() == (name != "dbscan")
    words = "only where Clusters is set to Gaussian mixture or K-means or Spectral"
    assert words in number.toolTip()
    clusterer.setCurrentIndex(clusterer.findData("spectral"))
    assert words not in number.toolTip()


def test_a_list_that_pops_up_shows_whole_entries(qtbot):
    combo = Combo()
    qtbot.addWidget(combo)
    combo.resize(100, 30)
    combo.show()
    combo.addItem("a")
    combo.addItem("an entry that came late, and is much wider than what is closed")
    combo.setStyleSheet("font-size: 20px")
    text = combo.fontMetrics().horizontalAdvance(combo.itemText(1))
    assert text > combo.width()
    combo.showPopup()
    assert combo.view().width() >= text
    combo.hidePopup()


def test_nothing_is_squeezed_in_a_narrow_fold(qtbot):
    form = SettingsForm(CrfSettings)
    outer = fold("Settings", form)
    column = Column([outer])
    qtbot.addWidget(column)
    column.resize(240, 900)
    column.show()
    qtbot.waitExposed(column)
    for folded in (outer, form.findChild(QCollapsible)):
        folded.toggleButton().click()
    rows = [row for row in form._rows.values() if row.isVisible()]
    assert len(rows) == len(form._rows)
    labels = [label for label in form.findChildren(QLabel) if label.isVisible()]
    assert len(labels) >= len(rows)
    qtbot.waitUntil(lambda: all(one.height() >= one.sizeHint().height() for one in [*rows, *labels]))
    assert all(label.width() >= label.sizeHint().width() for label in labels)
