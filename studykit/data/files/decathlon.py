"""The ten tasks of the Medical Segmentation Decathlon: download through MONAI, and a reader of their layout.

Source: Antonelli et al. 2022, Nature Communications 13:4128. Layout: ``TaskNN_Name/dataset.json`` lists
training images and labels and names the modality of every channel.
"""

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from studykit.data.files.listing import read_channels, read_listing
from studykit.data.files.refs import Subject, VolumeRef
from studykit.imports import how_to_get


@dataclass(frozen=True)
class Task:
    """One Decathlon task: ``subjects`` counts the labelled training images, ``megabytes`` the download."""

    name: str
    holds: str
    subjects: int
    megabytes: int


TASKS = (
    Task(
        "Task04_Hippocampus",
        "T1w MR crops of about 35 x 50 x 35 mm; anterior and posterior hippocampus",
        260,
        27,
    ),
    Task("Task01_BrainTumour", "MR in four contrasts (FLAIR, T1w, T1gd, T2w); tumour", 484, 7100),
    Task("Task02_Heart", "cardiac MR; left atrium", 20, 435),
    Task("Task03_Liver", "abdominal CT; liver and tumour", 131, 27000),
    Task("Task05_Prostate", "prostate MR in two contrasts (T2, ADC); zones", 32, 229),
    Task("Task06_Lung", "chest CT; tumour", 63, 8500),
    Task("Task07_Pancreas", "abdominal CT; pancreas and tumour", 281, 11500),
    Task("Task08_HepaticVessel", "abdominal CT; vessels and tumour", 303, 8700),
    Task("Task09_Spleen", "abdominal CT; spleen", 41, 1500),
    Task("Task10_Colon", "abdominal CT; colon cancer", 126, 5800),
)

_MODALITIES = {"MRI": "MR", "T1W": "T1w", "T1GD": "T1gd", "T2W": "T2w"}


class TaskUnavailable(RuntimeError):
    """A Decathlon task is neither in the cache nor to be had; the message says how to place it by hand."""


def open_task(name: str, cache: Path) -> tuple[Subject, ...]:
    """Labelled training images of a task, downloaded by MONAI where they are missing.

    MONAI unpacks into a staging folder that is moved into place when it is whole, so a killed call leaves
    nothing that a later one would take for the task.

    Raises:
        TaskUnavailable: no copy under ``cache/msd`` and the download failed.
    """
    folder = cache / "msd"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / name
    with FileLock(folder / f".{name}.lock"):
        if not (target / "dataset.json").is_file():
            _download(name, folder, target)
    return read_task(target)


def read_task(folder: Path) -> tuple[Subject, ...]:
    """Images that ``folder/dataset.json`` lists for training; a 4-D image gives one entry for each channel.

    Raises:
        ValueError: the list is not JSON, has no ``training`` entries, or names a file outside the folder.
    """
    listing = folder / "dataset.json"
    entries = read_listing(listing).get("training")
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"{listing} has no 'training' entries")
    if not all(isinstance(entry, dict) and {"image", "label"} <= entry.keys() for entry in entries):
        raise ValueError(f'{listing}: each of the \'training\' entries needs an "image" and a "label"')
    named = read_channels(listing) or {0: "unknown"}
    channels = [_MODALITIES.get(text.upper(), text) for _, text in sorted(named.items())]
    subjects = []
    for entry in sorted(entries, key=lambda entry: entry["image"]):
        image, labels = _inside(folder, entry["image"]), _inside(folder, entry["label"])
        for index, modality in enumerate(channels):
            frame = index if len(channels) > 1 else None
            identity = image.name.removesuffix(".gz").removesuffix(".nii")
            subjects.append(Subject(identity, VolumeRef(image, frame=frame), VolumeRef(labels), modality))
    return tuple(subjects)


def _inside(folder: Path, name: str) -> Path:
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ValueError(f"{folder / 'dataset.json'} names {name!r}, outside its folder")
    return path


def _download(name: str, folder: Path, target: Path) -> None:
    try:
        from monai.apps import DecathlonDataset, extractall
    except ImportError as error:
        raise TaskUnavailable(
            f"msd:{name} comes through MONAI, which is not installed: {how_to_get('notebooks')}, "
            f"or unpack {name}.tar by hand into {folder}"
        ) from error
    staging, by_hand = folder / ".staging", folder / f"{name}.tar"
    shutil.rmtree(staging / name, ignore_errors=True)
    staging.mkdir(exist_ok=True)
    md5 = DecathlonDataset.md5[name]
    try:
        if by_hand.is_file():
            extractall(by_hand, staging, hash_val=md5, hash_type="md5")
        else:
            DecathlonDataset(
                staging, name, section="training", download=True, cache_num=0, progress=sys.stderr.isatty()
            )
    except Exception as error:  # MONAI raises bare exceptions where the network fails
        (staging / f"{name}.tar").unlink(missing_ok=True)
        raise TaskUnavailable(
            f"msd:{name} cannot be had ({type(error).__name__}: {error}). Without a network, download "
            f"{DecathlonDataset.resource[name]} (md5 {md5}) elsewhere and place it as {by_hand}"
        ) from error
    os.replace(staging / name, target)
    (staging / f"{name}.tar").unlink(missing_ok=True)
