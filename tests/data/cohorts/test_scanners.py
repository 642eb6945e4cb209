"""Scanners by name, and what a scanner has to say."""

from dataclasses import replace

import pytest

from studykit.data.cohorts.regions import TISSUES
from studykit.data.cohorts.scanners import SCANNERS, find_scanner


def test_every_scanner_knows_every_tissue_or_none():
    assert len(SCANNERS) >= 5
    for name, scanner in SCANNERS.items():
        assert scanner.name == name and find_scanner(name) is scanner
        assert {tissue for tissue, _ in scanner.means} in (set(TISSUES), set())


def test_contrasts_are_those_of_their_modality():
    t1, t2, ct = (dict(SCANNERS[name].means) for name in ("t1", "t2-thick", "ct"))
    assert t1["white matter"] > t1["deep grey matter"] > t1["grey matter"] > t1["fluid"] > t1["air"]
    assert t2["fluid"] > t2["grey matter"] > t2["white matter"]
    assert ct["air"] == -1000 and ct["bone"] > ct["blood"] > ct["muscle"] > ct["fluid"] > ct["fat"]
    old = dict(SCANNERS["t1-old"].means)
    assert old["white matter"] - old["grey matter"] < t1["white matter"] - t1["grey matter"]


def test_unknown_names_and_incomplete_scanners_are_refused():
    with pytest.raises(ValueError, match="unknown scanner 't3'; known: t1, t1-old"):
        find_scanner("t3")
    t1 = find_scanner("t1")
    with pytest.raises(ValueError, match="each tissue once or be empty; got air; the tissues are air, lung"):
        replace(t1, means=(("air", 0.0),))
    with pytest.raises(ValueError, match="not be negative"):
        replace(t1, noise=-0.1)
    with pytest.raises(ValueError, match="resolutions positive"):
        replace(t1, resolution_mm=(1.0, 0.0, 1.0))


def test_the_site_kept_for_tests_is_the_odd_one():
    a, b, c = (find_scanner(f"site-{letter}") for letter in "abc")
    contrast = [dict(site.means)["white matter"] - dict(site.means)["grey matter"] for site in (a, b, c)]
    assert contrast[2] < min(contrast[:2]) and c.noise > max(a.noise, b.noise)
    assert max(c.resolution_mm) > 2 * max(a.resolution_mm + b.resolution_mm)
    assert {site.modality for site in (a, b, c)} == {"T1w"} and a.means != b.means
