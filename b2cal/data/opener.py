"""Opens data files in a process of its own: `python opener.py < paths`.

Imports nothing of b2cal, so that the process starts quickly and a file that kills it kills nothing else. For each line
of its input, `[path, size in bytes]` as JSON, it writes one line: `{"n_events", "sha256"}` or `{"reason"}`.
"""

import hashlib
import json
import os
import resource
import signal
import sys
import warnings
from typing import Any

_TREE = "events"
_PATIENCE_S = 30
_SLOWEST_BYTES_PER_S = 5_000_000
_MEMORY_BYTES = 4 << 30


def look(path: str) -> dict[str, Any]:
    """Count the events of a file and take its checksum, or say why it cannot be read."""
    import uproot

    try:
        with uproot.open(path) as file:
            if _TREE not in file:
                return {"reason": f"it has no tree {_TREE!r}"}
            tree = file[_TREE]
            n_events = int(tree.num_entries)
            for branch in getattr(tree, "branches", ()):  # a TTree's; the fields of an RNTuple have one length
                if branch.num_entries != n_events:
                    return {"reason": f"its branch {branch.name!r} has {branch.num_entries:,} of {n_events:,} events"}
        with open(path, "rb") as content:
            return {"n_events": n_events, "sha256": hashlib.file_digest(content, "sha256").hexdigest()}
    except Exception as error:  # noqa: BLE001 (a damaged file makes uproot raise errors of many types)
        lines = str(error).strip().splitlines()
        return {"reason": f"{type(error).__name__}: {lines[0] if lines else 'no message'}"}


def main() -> None:
    """Answer line by line. The kernel's alarm ends the process if a file takes too long."""
    try:
        import uproot  # noqa: F401 (once, before the first alarm is set)
    except ImportError as error:
        sys.stderr.write(str(error))
        sys.exit(os.EX_UNAVAILABLE)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")
    for line in sys.stdin:
        path, size_bytes = json.loads(line)
        signal.alarm(_PATIENCE_S + size_bytes // _SLOWEST_BYTES_PER_S)
        answer = look(path)
        signal.alarm(0)
        print(json.dumps(answer), flush=True)  # noqa: T201 (it is the protocol)


if __name__ == "__main__":
    main()
