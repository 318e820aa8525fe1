"""The version, importable without anything else."""

from triceras.core.registry import export

__version__ = "0.3.0"


@export("version")
def version() -> str:
    """The version of Triceras.

    >>> version() == __version__
    True
    """
    return __version__
