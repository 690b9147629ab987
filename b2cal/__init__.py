"""b2cal runs a particle detector's calibration loop without anyone pushing it."""

from pathlib import Path


def version() -> str:
    """The version of b2cal that is installed."""
    from importlib import metadata  # here, because every job and every DAG imports this module

    return metadata.version("b2cal")


def shipped(name: str) -> Path:
    """Path of `migrations`, `dags` or `examples`: inside the package in a wheel, beside it in a checkout."""
    package = Path(__file__).parent
    return next(folder for folder in (package / name, package.parent / name) if folder.is_dir())
