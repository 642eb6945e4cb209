"""studykit: does the claim hold? One notebook a claim, one shared library, a verdict that is earned."""

__version__ = "0.1.0"
