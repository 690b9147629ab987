"""The `b2cal` command."""


def main() -> None:
    """Run the command line."""
    from .main import main as run  # takes a second; who needs another module of this room does not pay for it

    run()
