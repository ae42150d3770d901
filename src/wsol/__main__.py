"""``python -m wsol``, for launchers that want a module."""

from wsol.cli.main import main

raise SystemExit(main())
