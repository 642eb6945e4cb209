"""Archives made by hand, of what no bundle would pack."""

import io
import tarfile


def archive(tmp_path, *members, data=b"{}"):
    """An archive of members: names, or whole headers."""
    path = tmp_path / "hand.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for member in members:
            info = tarfile.TarInfo(member) if isinstance(member, str) else member
            info.size = len(data) if info.isreg() else 0
            tar.addfile(info, io.BytesIO(data))
    return path


def header_without_end():
    """A member whose extended header alone is 2 MB of zeros."""
    info = tarfile.TarInfo("long")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2 * 10**6
    return info.tobuf() + bytes(info.size)
