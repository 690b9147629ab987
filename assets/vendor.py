"""Copy the listed files of the locked npm packages to where the site serves them, with licences and checksums.

The copies are committed, so that nobody who runs b2cal needs npm. `make assets` makes them again from the lock file and
fails when one differs from its checksum. A new version is a new folder: change `package.json`, then
`npm install --package-lock-only` here and `make assets`; the folder of the old version goes.
"""

import hashlib
import json
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).parent
VENDOR = HERE.parent / "b2cal" / "site" / "static" / "vendor"
CHECKSUMS = VENDOR / "SHA256SUMS"

FILES = {
    "htmx.org": ["LICENSE", "dist/htmx.min.js", "dist/ext/hx-csp.min.js", "dist/ext/hx-sse.min.js"],
    "bootstrap": ["LICENSE", "dist/css/bootstrap.min.css", "dist/js/bootstrap.bundle.min.js"],
    "@popperjs/core": ["LICENSE.md"],  # its code is part of bootstrap.bundle.min.js
    "@github/relative-time-element": ["LICENSE", "dist/bundle.js"],
    "uplot": ["LICENSE", "dist/uPlot.iife.min.js", "dist/uPlot.min.css"],
}


def sources() -> dict[str, Path]:
    """Every file to vendor: its path below VENDOR and where npm has put it.

    The path is `NAME-VERSION/FILE`, with a dash for the slash of a scoped name.
    """
    found = {}
    for package, files in FILES.items():
        folder = HERE / "node_modules" / package
        version = json.loads((folder / "package.json").read_text())["version"]
        name = package.removeprefix("@").replace("/", "-")
        found.update({f"{name}-{version}/{Path(file).name}": folder / file for file in files})
    return found


def recorded() -> dict[str, str]:
    """Path below VENDOR -> SHA-256, as committed."""
    lines = CHECKSUMS.read_text().splitlines() if CHECKSUMS.exists() else []
    return {path: digest for digest, path in (line.split("  ", 1) for line in lines)}


def main() -> int:
    """Make the copies; 1 if a file of a version that was vendored before is not what it was."""
    wanted = sources()
    digests = {path: hashlib.sha256(source.read_bytes()).hexdigest() for path, source in sorted(wanted.items())}
    drifted = [path for path, digest in recorded().items() if digests.get(path, digest) != digest]
    if drifted:
        print("Not what was vendored before, although the version is the same:", *drifted, sep="\n  ", file=sys.stderr)
        return 1
    shutil.rmtree(VENDOR, ignore_errors=True)
    for path, source in wanted.items():
        (VENDOR / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, VENDOR / path)
    CHECKSUMS.write_text("".join(f"{digest}  {path}\n" for path, digest in digests.items()))
    print(f"{len(wanted)} files in {VENDOR}, {sum(source.stat().st_size for source in wanted.values()) / 1024:.0f} KiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
