"""Why a volume cannot be used."""


class Unusable(ValueError):
    """A file that is no part of a volume; the message says why, and of a series which file."""


class NoGrid(Unusable):
    """What a file states about its voxels' size and place is no grid; the message says why."""


class BadVolume(ValueError):
    """A volume that cannot be used: ``path`` says which, ``reason`` why."""

    def __init__(self, path: str, reason: str):
        self.path, self.reason = path, reason
        super().__init__(path, reason)

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"
