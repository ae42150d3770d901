"""Web pages that show boxes beside images."""
