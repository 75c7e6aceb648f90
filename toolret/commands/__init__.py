"""The commands that build an index and query it: ``index``, ``list``, ``search`` and ``plan``."""
