"""The version, in a module that is found even where a folder of the same name hides the package."""

__version__ = "0.1.0"
