"""imagecatalog: which container images there are, where they run, and what to update."""

__version__ = "0.1.0"
