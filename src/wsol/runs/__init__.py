"""Run folders, their configuration, and the Hub."""
