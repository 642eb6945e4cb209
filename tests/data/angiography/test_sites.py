"""The challenge's labels: numbers, vectors, and left against right."""

import pytest

from studykit.data.angiography.sites import LABELS, MIRRORED, SITES, label_vector, site_number


def test_labels_of_a_case():
    assert len(LABELS) == 14 and len(set(LABELS)) == 14
    assert label_vector() == (0,) * 14
    assert label_vector("Basilar Tip") == (0,) * 11 + (1, 0, 1)
    assert sum(label_vector(SITES[0], SITES[3])) == 3
    assert [site_number(site) for site in ("", *SITES)] == list(range(14))


def test_a_mirror_exchanges_left_and_right_and_twice_is_nothing():
    assert [MIRRORED[number] for number in MIRRORED] == list(range(14))
    assert SITES[MIRRORED[site_number("Left Middle Cerebral Artery")] - 1] == "Right Middle Cerebral Artery"
    assert sum(number == other for number, other in enumerate(MIRRORED)) == 4  # none, and three in the middle


def test_an_unknown_site_lists_the_known():
    with pytest.raises(ValueError, match=r"unknown aneurysm site 'Aorta'; known: Left Infra.*Basilar Tip"):
        label_vector("Aorta")
