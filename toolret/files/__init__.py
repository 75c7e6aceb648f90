"""Files that are given: which a path stands for, and strict JSON in them."""
