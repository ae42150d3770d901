"""The page of a report as a local app with upload, and a backend for Label Studio."""
