"""bsub."""

import json
import os
import re
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from state import Refused, expanded, keep, state

# Options of bsub that take a value; others of LSF are not known here, and refused.
VALUED = re.compile("-(J|Jd|q|P|oo?|eo?|i|cwd|env|n|R|M|W|L|u|g|G|sp|app|f|Q|m)")
FLAG = re.compile("-(r|rn|x|N|B|H)")


def bsub(folder: Path, words: Sequence[str]) -> str:
    options, command, script = parsed(list(words))
    if not command:
        text = sys.stdin.read()
        lines = [line[5:].strip() for line in text.splitlines() if line.startswith("#BSUB")]
        in_script, _, _ = parsed([word for line in lines for word in shlex.split(line)])
        options, script = {**in_script, **options}, text
    name = options.get("-J", "")
    match = re.fullmatch(r"(?P<name>.*?)(?:\[(?P<elements>[\d,\-]+)\](?:%(?P<limit>\d+))?)?", name)
    assert match is not None
    elements = expanded(match["elements"]) if match["elements"] else [0]
    spec = {
        "command": command,
        "script": script,
        "shell": [options["-L"]] if "-L" in options else interpreter(script),
        "cwd": options.get("-cwd", str(Path.cwd())),
        "out": options.get("-oo") or options.get("-o") or os.devnull,
        "err": options.get("-eo") or options.get("-e") or "",
        "env": {} if options.get("-env") == "none" else dict(os.environ),
        "files": options.get("-f", "").splitlines(),
        "limit": int(match["limit"] or 0),
        "queue": options.get("-q", "normal"),
        "project": options.get("-P", "default"),
        "requirement": options.get("-R", ""),
        "only": options.get("-m", ""),
    }
    with state(folder) as db:
        number = 1 + (db.execute("SELECT max(number) FROM job").fetchone()[0] or 0)
        for element in elements:
            row = (number, element, match["name"], json.dumps(spec), "PEND", time.time())
            db.execute("INSERT INTO job (number, element, name, spec, stat, submitted) VALUES (?, ?, ?, ?, ?, ?)", row)
            what = f"Submitted from host <here>, to Queue <{spec['queue']}>, CWD <{spec['cwd']}>;"
            keep(db, number, element, what)
    default = "" if "-q" in options else "default "
    return f"Job <{number}> is submitted to {default}queue <{spec['queue']}>."


def bmod(folder: Path, words: Sequence[str]) -> str:
    options, ids, _ = parsed(list(words))
    if set(options) != {"-R"} or len(ids) != 1:
        raise Refused("Only the resource requirement of one job or array can be changed here.")
    with state(folder) as db:
        rows = db.execute("SELECT * FROM job WHERE number = ?", (int(ids[0]),)).fetchall()
        if not rows:
            raise Refused(f"Job <{ids[0]}>: No matching job found")
        waiting = [row for row in rows if row["stat"] == "PEND"]
        if not waiting:
            raise Refused(f"Job <{ids[0]}>: Job has already finished")
        for row in waiting:
            spec = json.loads(row["spec"]) | {"requirement": options["-R"]}
            which = (json.dumps(spec), row["number"], row["element"])
            db.execute("UPDATE job SET spec = ? WHERE number = ? AND element = ?", which)
    return f"Parameters of job <{ids[0]}> are being changed"


def interpreter(script: str) -> list[str]:
    first = script.partition("\n")[0]
    return shlex.split(first[2:]) if first.startswith("#!") else ["/bin/sh"]


def parsed(words: list[str]) -> tuple[dict[str, str], list[str], str]:
    options: dict[str, str] = {}
    while words and words[0].startswith("-"):
        word = words.pop(0)
        name, _, value = word.partition(" ")  # b2luigi gives "-env all" as one word
        if VALUED.fullmatch(name):
            if not value and not words:
                raise Refused(f"Bad argument for option {name}. Job not submitted.")
            before = [options[name]] if name == "-f" and name in options else []
            options[name] = "\n".join([*before, value or words.pop(0)])
        elif not FLAG.fullmatch(name):
            raise Refused(f"{name}: Illegal option. Job not submitted.")
    return options, words, ""
