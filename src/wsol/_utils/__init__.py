"""Utilities for files, locks, names, concurrency and progress."""
