"""How Sphinx builds these pages."""

import wsol

project = "wsol"
author = "The wsol authors"
project_copyright = "2026, The wsol authors"
release = version = wsol.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"wsol {release}"

myst_heading_anchors = 3

napoleon_google_docstring = True
napoleon_numpy_docstring = False
# Attributes as fields of their class: autodoc lists those of named tuples once more otherwise.
napoleon_use_ivar = True

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
