"""Files: which of them a path stands for, strict JSON in them, and items as plain rows."""
