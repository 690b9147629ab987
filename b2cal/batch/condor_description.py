"""What HTCondor is told of the jobs of a group: the manual page of condor_submit has all of it."""

import tarfile
from collections.abc import Mapping
from pathlib import Path

from b2cal.calibration.job import ARCHIVE, SHARED
from b2cal.core.files import replacing
from b2cal.settings import CondorSettings

from .condor_log import BY_HAND, TRANSIENT_HOLDS
from .condor_schedd import HELD, SPOOLING, quoted
from .contract import BatchGroup, BatchId
from .ranges import in_ranges
from .report import NAME as REPORT

FILES = ("job.py", "wrapper.json", "job.json")
OUTPUTS = (REPORT, "stdout", "stderr", "outputs")
"""What comes back from a job; the wrapper makes all of it, whatever becomes of the command."""

ANY_HOST = "any"
NO_HOST = "-"


def items(group: BatchGroup, parent: Path, pool: CondorSettings, beside: Mapping[BatchId, str]) -> list[dict[str, str]]:
    """What each job has of its own; `beside` are hosts of jobs beside which others may not run."""
    return [
        {
            "number": str(job.number),
            "place": str(job.folder.relative_to(parent)),
            "memory": str(job.memory_mb or pool.memory_mb),
            "host": job.host or ANY_HOST,
            "not_on": beside.get(job.not_beside) or NO_HOST,
        }
        for job in group.jobs
    ]


def description(group: BatchGroup, parent: Path, pool: CondorSettings, avoided: str) -> dict[str, str]:
    """What they have in common: the submit description. `avoided` are hosts, as a ClassAd string."""
    numbers = " ".join(in_ranges(job.number for job in group.jobs))
    files = [*FILES, *_packed(group.jobs[0].folder / SHARED, parent), *([pool.token] if pool.token else [])]
    return {
        "request_disk": "4 GB",
        "request_memory": "$(memory)",
        **pool.submit,
        **_wishes(pool),
        **_holds(pool),
        "requirements": _requirements(pool),
        "executable": pool.python,
        "arguments": f"-I -S job.py $$([{_host(pool)}])",
        "transfer_executable": "false",
        "initialdir": f"{parent}/$(place)",
        "output": "wrapper.log",
        "error": "wrapper.log",
        "should_transfer_files": "YES",
        "when_to_transfer_output": "ON_EXIT",
        "transfer_input_files": ",".join(files),
        "transfer_output_files": ",".join(OUTPUTS),
        "batch_name": group.name,
        "next_job_start_delay": str(pool.start_delay_s),
        "job_lease_duration": str(pool.job_lease_s),
        "My.B2calAvoid": avoided,
        "My.B2calFolder": quoted(f"{parent}/$(place)"),
        "My.B2calHost": quoted("$(host)"),
        "My.B2calNotOn": quoted("$(not_on)"),
        "job_machine_attrs": ",".join(sorted({pool.host, "Machine"})),
        "My.B2calToken": quoted(group.token),
        "My.B2calEpoch": str(group.epoch),
        "My.B2calNumber": "$(number)",
        "My.B2calNumbers": quoted(numbers),
    }


def _requirements(pool: CondorSettings) -> str:
    """Where a job may run: as the centre wants it; on its own host if it has one, else on none that it or all avoid."""
    host = _host(pool)
    free = f"MY.B2calHost == {quoted(ANY_HOST)} && !stringListMember({host}, MY.B2calAvoid) && {host} != MY.B2calNotOn"
    return f"({pool.submit.get('requirements', 'true')}) && ({free} || {host} == MY.B2calHost)"


def _host(pool: CondorSettings) -> str:
    """What a machine is called; one without the centre's attribute by its own name, so that jobs start there too."""
    return f"(TARGET.{pool.host} ?: TARGET.Machine)"


def _wishes(pool: CondorSettings) -> dict[str, str]:
    """What a centre wants of its jobs beyond running them."""
    wishes = {"priority": str(pool.priority), "universe": "container" if pool.image else "vanilla"}
    if pool.image:
        wishes["container_image"] = pool.image
    if pool.accounting_group:
        wishes["accounting_group"] = pool.accounting_group
    if pool.proxy:
        wishes["x509userproxy"] = pool.proxy  # HTCondor brings it along, and brings a renewed one to jobs that run
    return wishes


def _holds(pool: CondorSettings) -> dict[str, str]:
    """What the schedd does by itself about held jobs: it releases those that may pass, and removes the others."""
    codes = ", ".join(map(str, sorted(TRANSIENT_HOLDS)))
    passing = f"(member(HoldReasonCode, {{{codes}}}) && NumHolds <= {pool.max_holds})"
    return {
        "periodic_release": f"{passing} && time() - EnteredCurrentStatus >= {pool.release_after_s}",
        "periodic_remove": f"JobStatus == {HELD} && !member(HoldReasonCode, {{{BY_HAND}, {SPOOLING}}}) && !{passing}",
    }


def _packed(shared: Path, parent: Path) -> list[str]:
    """What the jobs of a group have in common as one archive, links followed; the wrapper unpacks it."""
    if not shared.exists():
        return []
    archive = parent / ARCHIVE
    with replacing(archive) as temporary, tarfile.open(temporary, "w", dereference=True) as tar:
        tar.add(shared, arcname=shared.name)
    return [str(archive)]
