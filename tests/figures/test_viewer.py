"""A volume to look at: a picture where nobody looks, a viewer where somebody does."""

import numpy as np
import pytest

from studykit.figures import viewer

SPACING = (1.0, 1.5, 2.0)
VOLUME = np.random.default_rng(0).normal(size=(12, 16, 8)).astype(np.float32)
HIDDEN = np.ones((3, 4, 2), bool)
LABELS = np.zeros(VOLUME.shape, int)
LABELS[4:8, 4:8, 2:6] = 3


@pytest.fixture
def shown(monkeypatch):
    """What a notebook is given to show, and whether somebody looks: a list and a switch."""
    found = []
    for name in viewer.LIVE:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(viewer.plt, "show", lambda: found.append("a picture"))
    for name in ("volume_viewer", "mask_slider"):
        monkeypatch.setattr(viewer, name, lambda *given, name=name: name)
    monkeypatch.setattr("IPython.display.display", found.append)
    return found


def look(monkeypatch, installed):
    monkeypatch.setenv("JPY_SESSION_NAME", "tour.ipynb")
    monkeypatch.setattr(viewer.importlib.util, "find_spec", lambda name: installed or None)


def test_where_nobody_looks_it_is_a_picture(shown):
    viewer.show_volume(VOLUME, SPACING, "A head", labels=LABELS)
    viewer.show_masks(VOLUME, {"0.75": HIDDEN}, SPACING, "Masks")
    assert shown == ["a picture"] * 2


def test_where_somebody_looks_and_it_is_installed_it_is_the_viewer(shown, monkeypatch):
    look(monkeypatch, installed=True)
    viewer.show_volume(VOLUME, SPACING, "A head", labels=LABELS)
    viewer.show_masks(VOLUME, {"0.75": HIDDEN}, SPACING, "Masks")
    assert shown == ["volume_viewer", "mask_slider"]


def test_without_the_extra_a_live_notebook_has_the_picture(shown, monkeypatch):
    look(monkeypatch, installed=False)
    viewer.show_volume(VOLUME, SPACING, "A head")
    assert shown == ["a picture"]


def test_the_picture_has_a_row_for_what_is_hidden_and_for_what_was_painted():
    layers = {"labels": LABELS, "hidden": HIDDEN, "reconstruction": VOLUME + 1}
    fig = viewer.volume_picture(VOLUME, SPACING, "A head", layers)
    assert [axis.get_ylabel() for axis in fig.axes if axis.get_ylabel()] == [
        "volume",
        "masked",
        "reconstruction",
    ]
    axial, masked, painted = fig.axes[0], fig.axes[3], fig.axes[6]
    assert [len(axis.images) for axis in (axial, masked, painted)] == [2, 2, 1]
    assert axial.images[0].get_clim() == painted.images[0].get_clim()
    assert len(viewer.volume_picture(VOLUME, SPACING, "A head", {"labels": LABELS}).axes) == 3


def test_a_layer_on_another_grid_is_refused():
    with pytest.raises(ValueError, match="reconstruction has shape"):
        viewer.volume_picture(VOLUME, SPACING, "A head", {"reconstruction": VOLUME[1:]})


def test_the_viewer_lays_each_layer_over_the_volume_with_its_slider():
    pytest.importorskip("ipyniivue")
    import nibabel

    layers = {"labels": LABELS, "hidden": HIDDEN, "reconstruction": VOLUME}
    box = viewer.volume_viewer(VOLUME, SPACING, layers)
    shown, *sliders = box.children
    assert [slider.description for slider in sliders] == list(layers)
    sliders[0].value = 0.25
    assert [v.name for v in shown.volumes] == ["volume.nii", *(f"{name}.nii" for name in layers)]
    assert shown.volumes[1].opacity == 0.25
    read = nibabel.Nifti1Image.from_bytes(bytes(shown.volumes[2].data))
    assert read.shape == VOLUME.shape and read.header.get_zooms() == SPACING


def test_the_slider_draws_the_mask_that_is_chosen():
    pytest.importorskip("ipywidgets")
    slider, picture = viewer.mask_slider(VOLUME, {"none": ~HIDDEN, "all": HIDDEN}, SPACING, "t").children
    before = bytes(picture.value)
    slider.value = "all"
    assert bytes(picture.value) != before and before.startswith(b"\x89PNG")
