"""A stand-in for LSF: bsub, bmod, bjobs, bhist, bkill and lsid on one machine, with jobs that are real processes.

There is no LSF to be had for tests. This follows the documented output of IBM Spectrum LSF 10.1 (command reference) and
is held to it by other people's clients, see test_foreign_clients.py. `stand_in.py COMMAND FOLDER ...` is that command,
and `stand_in.py daemon FOLDER` the daemon that starts jobs and notices their end.

The state lies in FOLDER: `lsf.db`; `config.json` with `slots` in all, the names of `hosts` and `clean_period_s`; and
`faults/COMMAND`, a file that says how that command fails: `refuse` (it does nothing and says so), `mute` (it does its
work and dies before it says so), `hang` (it does not return).
"""

import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from daemon import Daemon
from state import Refused, keep, state
from submit import bmod, bsub
from tell import bhist, bjobs, chosen


def bkill(folder: Path, words: Sequence[str]) -> str:
    number, ids = signal.SIGTERM, []
    rest = iter(words)
    for word in rest:
        if word == "-s":
            given = next(rest)
            number = signal.Signals[given if given.startswith("SIG") else f"SIG{given}"]
        elif word.startswith("-"):
            raise Refused(f"{word}: Illegal option.")
        else:
            ids.append(word)
    told, failed = [], False
    with state(folder) as db:
        for one in ids:
            rows, missing = chosen(db, [one], "")
            going = [row for row in rows if row["ended"] is None]
            for line in [f"Job <{one}>: No matching job found"] * bool(missing):
                failed = True
                sys.stderr.write(f"{line}\n")
            if rows and not going:
                failed = True
                sys.stderr.write(f"Job <{one}>: Job has already finished\n")
            for row in going:
                db.execute(
                    "UPDATE job SET kill_signal = ? WHERE number = ? AND element = ?",
                    (int(number), row["number"], row["element"]),
                )
                keep(db, row["number"], row["element"], "Signal <KILL> requested by user or administrator <me>;")
            if going:
                told.append(f"Job <{one}> is being terminated")
    for line in told:
        sys.stdout.write(f"{line}\n")
    sys.exit(255 if failed else 0)


def lsid(_folder: Path, _words: Sequence[str]) -> str:
    return "IBM Spectrum LSF 10.1.0.0 (stand-in for tests)\n\nMy cluster name is tests\nMy master name is here"


COMMANDS = {"bsub": bsub, "bjobs": bjobs, "bhist": bhist, "bkill": bkill, "bmod": bmod, "lsid": lsid}


def main() -> None:
    command, folder, words = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
    if command == "daemon":
        Daemon(folder).run()
        return
    file = folder / "faults" / command
    fault = file.read_text().strip() if file.exists() else ""
    if fault == "hang":
        time.sleep(3600)
    if fault == "refuse":
        sys.stderr.write("LSF is down. Please wait ...\n")
        sys.exit(255)
    try:
        told = COMMANDS[command](folder, words)
        if fault == "mute":
            sys.exit(255)
        sys.stdout.write(f"{told}\n")
    except Refused as refusal:
        sys.stderr.write(f"{refusal}\n")
        sys.exit(255)


if __name__ == "__main__":
    main()
