"""The command line. Each command is imported when it is called, so that help and errors are quick."""

from deltastream.cli._app import cli, main

__all__ = ["cli", "main"]
