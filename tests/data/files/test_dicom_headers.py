"""Headers that a parser stumbles over are of no readable file, whatever it stumbles with."""

import numpy as np
import pytest

from studykit.data.files.dicom_headers import numbers, read_header, text
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
