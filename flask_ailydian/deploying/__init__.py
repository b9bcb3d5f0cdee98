"""One-command deployment: checked, migrated, tried, started, looked after, replaced."""
