"""A subject's folder as FreeSurfer leaves it: one image, its label maps, and stages on the way."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from studykit.data.files.walk import stem

FREESURFER_IMAGES, FREESURFER_LABELS = ("orig", "T1", "nu", "norm"), ("aparc+aseg", "aseg")
"""Of ``SUBJECT/mri``, the first that is there."""


def freesurfer(
    files: Sequence[Path],
) -> tuple[dict[Path, Path | None], dict[Path, tuple[Path, ...]], list[Path]]:
    """Of ``SUBJECT/mri`` as FreeSurfer leaves it: image → label map, image → further ones, and the rest."""
    folders: dict[Path, dict[str, Path]] = defaultdict(dict)
    for path in files:
        if path.parent.name == "mri" and path.suffix == ".mgz":
            folders[path.parent][stem(path)] = path
    labels, spare, stages = {}, {}, []
    for own in folders.values():
        images = [own[name] for name in FREESURFER_IMAGES if name in own]
        maps = [own[name] for name in FREESURFER_LABELS if name in own]
        if images and maps:
            labels[images[0]], spare[images[0]] = maps[0], tuple(maps[1:])
            stages += [path for path in own.values() if path != images[0] and path not in maps]
    return labels, spare, stages
