"""Volumes that are made: once, on one core or on several to the same bits, only those that are missing."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from studykit.data import cores
from studykit.data.volumes.synthetic import LEAST_PARTS, PART, SyntheticVolume, all_made
from studykit.data.volumes.volumes import PreparedArrays

COUNT = PART * (LEAST_PARTS + 1)


@dataclass
class Ball(SyntheticVolume):
    number: int
    cache: Path
    modality: str = "MR"

    @property
    def subject(self):
        return f"ball-{self.number}"

    @property
    def key(self):
        return f"{self.number:032d}"

    @property
    def template(self):
        return f"mould-{self.number % 2}"

    def make(self):
        with open(self.cache / "log", "a", encoding="utf-8") as log:
            log.write(f"{self.number}\n")
        image = np.random.default_rng(self.number).standard_normal((4, 5, 6)).astype(np.float32)
        return PreparedArrays(image, image > 0, None, np.eye(4), "auto")


def made(folder, count=COUNT):
    folder.mkdir(exist_ok=True)
    return all_made([Ball(number, folder) for number in range(count)], "balls")


@pytest.fixture
def two(monkeypatch):
    monkeypatch.setattr(cores, "most_processes", lambda: 2)


def numbers(folder):
    return sorted(map(int, (folder / "log").read_text(encoding="utf-8").split()))


def test_on_several_cores_they_are_the_same_in_the_same_order(tmp_path, two, monkeypatch):
    beside = made(tmp_path / "beside")
    monkeypatch.setattr(cores, "most_processes", lambda: 1)
    alone = made(tmp_path / "alone")
    assert [volume.subject for volume in beside] == [f"ball-{number}" for number in range(COUNT)]
    for one, other in zip(beside, alone, strict=True):
        assert one.key == other.key and np.array_equal(one.array, other.array)
        assert np.array_equal(one.foreground, other.foreground)
    assert numbers(tmp_path / "beside") == numbers(tmp_path / "alone") == list(range(COUNT))


def test_only_what_is_missing_is_made(tmp_path, two):
    made(tmp_path, 3)
    again = made(tmp_path)
    assert numbers(tmp_path) == list(range(COUNT))
    assert len(again) == COUNT
    made(tmp_path)
    assert numbers(tmp_path) == list(range(COUNT))
