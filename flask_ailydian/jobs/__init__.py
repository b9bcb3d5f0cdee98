"""Jobs: many inputs handed in at once, answered by workers, each item with its own result."""
