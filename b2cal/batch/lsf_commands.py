"""LSF's commands, here or, by ssh, on a machine of the centre. Every call raises BatchError if LSF cannot answer."""

import shlex
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from b2cal.settings import LsfSettings

from . import lsf_output
from .contract import BatchError, BatchId
from .lsf_output import LsfJob, NotUnderstood
from .ranges import in_ranges

_HINT = (
    "Look whether LSF answers there (bjobs, bqueues) and takes jobs into this queue. Which commands are called, and"
    " where, `path`, `ssh` and `queue` of the centre in b2cal.toml say."
)

_MOST_CHARACTERS = 50_000
"""What names jobs in one call: by ssh a call is one word, of which Linux takes 128 KiB (execve(2), MAX_ARG_STRLEN)."""


@dataclass(frozen=True)
class _Said:
    code: int
    stdout: str
    stderr: str


class LsfCommands:
    """The commands of one centre."""

    def __init__(self, centre: LsfSettings) -> None:
        self._centre = centre

    def submit(self, options: Sequence[str], command: Sequence[str]) -> str:
        """Submit a job or an array; its number."""
        said = self._call("bsub", [*options, *command])
        try:
            return lsf_output.submitted(said.stdout)
        except NotUnderstood as error:
            raise self._trouble("take jobs", said) from error

    def jobs(self, name: str) -> list[LsfJob]:
        """The jobs of a name, which may hold `*`: all that have not ended, and those that ended not long ago."""
        said = self._call("bjobs", ["-a", "-json", "-o", lsf_output.FIELDS, "-J", name])
        try:
            return lsf_output.jobs(said.stdout)
        except NotUnderstood as error:
            if lsf_output.says_that_there_is_none(said.stderr):
                return []
            raise self._trouble("tell its jobs", said) from error

    def histories(self, arrays: Sequence[str]) -> list[LsfJob]:
        """What the event logs of LSF tell of arrays, ended ones as well."""
        found: list[LsfJob] = []
        for some in _chunks(arrays):
            said = self._call("bhist", ["-l", "-n", str(self._centre.history_logs), *some])
            if said.code and not said.stdout.strip() and not lsf_output.says_that_there_is_none(said.stderr):
                raise self._trouble("tell its history", said)
            found += lsf_output.histories(said.stdout)
        return found

    def kill(self, jobs: Sequence[BatchId]) -> None:
        """Kill elements of arrays; those that have ended or are unknown do not matter."""
        for some in _chunks(_elements(jobs)):
            said = self._call("bkill", some)
            refused = lsf_output.refusals(f"{said.stdout}\n{said.stderr}")
            if refused:
                raise self._trouble("kill jobs", _Said(said.code, "", refused[0]))

    def modify(self, array: str, options: Sequence[str]) -> None:
        """Give the jobs of an array that wait other options; where none waits that does not matter."""
        said = self._call("bmod", [*options, array])
        if said.code and not lsf_output.says_that_none_waits(said.stderr):
            raise self._trouble("change jobs", said)

    def _call(self, command: str, arguments: Sequence[str]) -> _Said:
        words = [f"{self._centre.path}/{command}" if self._centre.path else command, *arguments]
        if self._centre.ssh:
            words = ["ssh", "-o", "BatchMode=yes", self._centre.ssh, shlex.join(words)]
        try:
            done = subprocess.run(
                words,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                timeout=self._centre.patience_s,
            )
        except OSError as error:
            raise BatchError(f"{command} cannot be called: {error.strerror}, {error.filename}.", hint=_HINT) from error
        except subprocess.TimeoutExpired as error:
            where = f"on {self._centre.ssh}, where it is called by ssh," if self._centre.ssh else "on this machine"
            raise BatchError(
                f"{command} {where} did not answer within {self._centre.patience_s:g} s.", hint=self._look()
            ) from error
        return _Said(done.returncode, done.stdout, done.stderr)

    def _look(self) -> str:
        """What to look at when a command has not ended in time."""
        host = self._centre.ssh
        first = f"`ssh -o BatchMode=yes {host} true` tells whether {host} itself answers. " if host else ""
        return f"{first}{_HINT} How long a command may take `patience_s` says."

    def _trouble(self, what: str, said: _Said) -> BatchError:
        lines = (said.stderr.strip() or said.stdout.strip() or f"exit code {said.code}").splitlines()
        return BatchError(f"LSF could not {what}: {lines[-1].rstrip('.')}.", hint=_HINT)


def _chunks(words: Iterable[str]) -> Iterator[list[str]]:
    """Words by calls, or what stands in a word by words, so that none becomes too long."""
    some: list[str] = []
    length = 0
    for word in words:
        its = len(shlex.quote(word)) + 1
        if some and length + its > _MOST_CHARACTERS:
            yield some
            some, length = [], 0
        some.append(word)
        length += its
    if some:
        yield some


def _elements(jobs: Sequence[BatchId]) -> Iterator[str]:
    """Elements of arrays as bkill takes them: `12[1-3,7]`."""
    indices: dict[str, list[int]] = defaultdict(list)
    for job in jobs:
        number, _, index = job.removesuffix("]").partition("[")
        indices[number].append(int(index))
    for number, its in indices.items():
        for some in _chunks(in_ranges(sorted(its))):
            yield f"{number}[{','.join(some)}]"
