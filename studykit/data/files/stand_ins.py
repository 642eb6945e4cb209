"""What may lie in the place of a volume that was not fetched: pointers of git-lfs or git-annex, pages."""

import re

from studykit.data.files.refs import VolumeRef

STARTS = {
    rb"version https://git-lfs": "is a pointer of git-lfs, not the file: git lfs pull fetches it",
    rb"\S*/annex/objects": "is a pointer of git-annex, not the file: git annex get fetches it",
    rb"<!doctype html|<html": "is a page of a web site, not the file: fetch it anew",
}
"""What stands at the start of a file that is in another one's place → what it is."""
START_BYTES = 64


def stand_in(ref: VolumeRef) -> str:
    """What lies in the place of a file that cannot be read, where its first bytes tell; empty else."""
    if ref.archive_sha256 is not None or ref.is_series or not ref.path.is_file():
        return ""
    with open(ref.path, "rb") as file:
        start = file.read(START_BYTES).lstrip().lower()
    known = (what for mark, what in STARTS.items() if re.match(mark, start))
    return next(known, "" if start else "is empty")
