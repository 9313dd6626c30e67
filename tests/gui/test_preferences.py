"""Preferences: the manifest and the code say the same, and what the user sets is read."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

pytest.importorskip("napari")

from npe2 import PluginManifest
from qtpy.QtWidgets import QCheckBox

import napari_pu_segment
from napari_pu_segment.core.methods.pu import PuSettings
from napari_pu_segment.core.networks import NETWORKS
from napari_pu_segment.gui.preferences import PLUGIN, Preferences, preferences

settings = pytest.importorskip("napari.settings")


@pytest.fixture
def page():
    if not hasattr(settings, "get_plugin_settings"):
        pytest.skip("this napari has no preferences of plugins")
    page = settings.get_plugin_settings(PLUGIN).preferences
    before = page.model_dump()
    yield page
    for name, value in before.items():
        setattr(page, name, value)


def test_the_manifest_says_what_the_code_says():
    manifest = PluginManifest.from_file(Path(napari_pu_segment.__file__).with_name("napari.yaml"))
    found = manifest.contributions.configurations["preferences"].properties
    assert {name: one.default for name, one in found.items()} == asdict(Preferences())
    assert all(one.title and one.description for one in found.values())
    assert found["network"].enum == list(NETWORKS)
    fields = PuSettings.model_fields
    for name in ("network", "n_steps", "threads"):
        assert found[name].default == fields[name].default, name
    bounds = {type(one).__name__: one for name in ("n_steps", "threads") for one in fields[name].metadata}
    assert bounds
    assert (found["n_steps"].minimum, found["n_steps"].maximum) == (1, 100_000)
    PuSettings(n_steps=found["n_steps"].maximum, threads=found["threads"].maximum)


def test_what_the_user_sets_is_read(page):
    assert preferences() == Preferences()
    page.n_steps, page.live, page.autosave_folder = 12, True, "~/strokes"
    found = preferences()
    assert (found.n_steps, found.live) == (12, True)
    assert found.autosave_path == Path.home() / "strokes"
    assert found.settings(PuSettings) == PuSettings(n_steps=12)
    assert Preferences().autosave_path is None


def test_what_cannot_be_is_refused_by_the_page(page):
    with pytest.raises(ValueError, match="network"):
        page.network = "nonsense"
    with pytest.raises(ValueError, match="n_steps"):
        page.n_steps = 0
    assert preferences() == Preferences()


def test_a_napari_without_preferences_of_plugins_gets_ours(monkeypatch):
    monkeypatch.delattr(settings, "get_plugin_settings", raising=False)
    assert preferences() == Preferences()


@pytest.mark.parametrize("wanted", [Preferences(), Preferences(live=True, refine=False)])
def test_the_widget_opens_as_preferred(make_viewer, qtbot, monkeypatch, wanted):
    from napari_pu_segment.gui.main_widget import MainWidget

    monkeypatch.setattr("napari_pu_segment.gui.main_widget.preferences", lambda: wanted)
    widget = MainWidget(make_viewer())
    qtbot.addWidget(widget)
    assert widget.session.live is wanted.live
    assert widget.live_panel.button.isChecked() is wanted.live
    assert (widget.session.crf is not None) is wanted.refine
    boxes = [box for box in widget.result_panel.findChildren(QCheckBox) if box.text().startswith("Refine")]
    assert [box.isChecked() for box in boxes] == [wanted.refine]
    widget.session.close()
