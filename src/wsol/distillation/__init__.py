"""Distillation of score maps into a head."""
