"""studykit: does the claim hold? One notebook a claim, one shared library, a verdict that is earned."""

from studykit.version import __version__ as __version__
