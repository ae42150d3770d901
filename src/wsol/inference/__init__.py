"""Localization of objects with trained classifiers."""
