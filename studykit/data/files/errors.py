"""Why a volume cannot be used."""


class NoGrid(ValueError):
    """What a file states about its voxels' size and place is no grid; the message says why."""


class BadVolume(ValueError):
    """A volume that cannot be used: ``path`` says which, ``reason`` why."""

    def __init__(self, path: str, reason: str):
        self.path, self.reason = path, reason
        super().__init__(path, reason)

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"
