"""Files, locks, names and addresses."""
