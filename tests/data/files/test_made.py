"""Names that programs make of others: only where the other is there."""

import pytest

from studykit.data.files.made import originals, tissue_map_of


@pytest.mark.parametrize(
    ("names", "made"),
    [
        (["p001", "swrp001"], {"swrp001": "p001"}),
        (["sub7", "s8wsub7"], {"s8wsub7": "sub7"}),
        (["p001", "wp002"], {}),
        (["0012", "w0012"], {"w0012": "0012"}),
        (["12", "w12"], {}),
        (["ann", "hann"], {}),
        (["ann", "wann"], {}),
        (["ann", "wann", "bo", "wbo"], {"wann": "ann", "wbo": "bo"}),
        (["p1", "p1Warped"], {"p1Warped": "p1"}),
        (["p1", "p1ab"], {}),
        (["p1warped", "p1brain", "p2warped"], {"p1warped": "p1", "p1brain": "p1", "p2warped": "p2"}),
        (["s1anna", "s1ben", "s2carl", "s2dora"], {}),
    ],
    ids=str,
)
def test_a_name_is_another_ones_with_something_before_or_behind(names, made):
    assert originals(set(names)) == made


def test_a_tissue_map_is_one_of_an_image_that_is_there():
    assert tissue_map_of("mwc1p001", {"p001"}) == "p001" == tissue_map_of("iy_p001", {"p001"})
    assert tissue_map_of("c1p001", {"p002"}) == tissue_map_of("wp001", {"p001"}) == ""
