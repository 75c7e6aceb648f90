"""The commands that make an index and ask it: ``index``, ``list``, ``search`` and ``plan``."""
