"""Evaluation of localizers on data sets and of score maps from files."""
