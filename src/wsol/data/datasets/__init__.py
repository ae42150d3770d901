"""Layouts of data sets."""
