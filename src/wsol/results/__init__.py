"""Localizations of images, in memory and on disk."""
