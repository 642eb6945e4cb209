"""Headers that a parser stumbles over are of no readable file, whatever it stumbles with."""

import re

import numpy as np
import pytest

from studykit.data.files.dicom_headers import broken_structure, numbers, read_header, text
from tests.data.tiny_dicom import write_file


@pytest.mark.parametrize("tag", [b"\x28\x00\x30\x00DS", b"\x10\x00\x20\x00LO"], ids=["spacing", "patient"])
def test_an_unknown_value_representation_is_a_damaged_header(tmp_path, tag):
    path = write_file(tmp_path / "one.dcm", np.zeros((4, 4), np.int16), PatientID="p", PixelSpacing=[1, 2])
    assert numbers(read_header(path), "PixelSpacing").tolist() == [1, 2]
    assert text(read_header(path), "PatientID") == "p"
    whole = path.read_bytes()
    assert whole.count(tag) == 1
    path.write_bytes(whole.replace(tag, tag[:4] + b"ZZ"))
    assert read_header(path) is None


@pytest.mark.parametrize("mark", [True, False])
def test_a_sound_file_has_no_broken_structure(tmp_path, mark):
    assert broken_structure(write_file(tmp_path / "one.dcm", np.zeros((4, 4), np.int16), mark=mark)) == ""


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (b"\2\0\2\0UI", b"\2\0\2\0Uf", r"is damaged: \(0002,0002\) is of the unknown kind 'Uf'"),
        (b"\x28\0\2\1US\2\0", b"\x28\0\2\1UN\2\0\0\0\0\x2f", r"\(0028,0102\) claims 788529152 bytes and"),
    ],
    ids=["kind", "length"],
)
def test_what_would_have_itk_set_aside_gigabytes_is_told(tmp_path, before, after, said):
    path = write_file(tmp_path / "one.dcm", np.zeros((4, 4), np.int16))
    whole = path.read_bytes()
    assert whole.count(before) == 1
    path.write_bytes(whole.replace(before, after))
    assert re.search(said, broken_structure(path))
