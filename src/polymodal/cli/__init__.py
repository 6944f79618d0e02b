"""The command line: parses, calls :mod:`polymodal.api`, prints; heavy imports wait until a command runs."""

from polymodal.cli.app import app, main

__all__ = ["app", "main"]
