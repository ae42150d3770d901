"""Entry point of ``python -m wsol``, for launchers that start modules."""

from wsol.cli.main import main

raise SystemExit(main())
