"""Who wrote a paper, as far as its file knows."""

from studykit.claims.claim import Paper

UNKNOWN = "unknown"
"""What a ``paper.toml`` has for authors that nothing at hand names."""


def authors(paper: Paper) -> str:
    """Their names in one line, '' where none is known."""
    return ", ".join(name for name in paper.authors if name != UNKNOWN)
