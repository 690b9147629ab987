"""`b2cal up` with small components, as a program: tests kill it and send it signals.

python supervised.py HOME NAME=CODE ...    each component is a Python process with that code
"""

import sys
import time
from pathlib import Path

from b2cal.cli.components import Component
from b2cal.cli.foreground import supervising
from b2cal.core.errors import B2calError


def python(name: str, code: str) -> Component:
    return Component(name, (sys.executable, "-S", "-E", "-c", code))


def main() -> None:
    home, *given = sys.argv[1:]
    components = [python(*item.split("=", 1)) for item in given]
    try:
        with supervising(components, Path(home), (Path(home) / "prepared").touch):
            while True:
                time.sleep(0.05)
    except KeyboardInterrupt:
        sys.exit(130)
    except B2calError as error:
        sys.exit(f"{error}\n{error.hint}")


if __name__ == "__main__":
    main()
