"""Drawn data sets."""
