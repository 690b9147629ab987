"""What a number in a report can be followed back to."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

import b2cal
from b2cal.core.iov import IoV
from b2cal.model import Attempt, Calibration, Job, JobGroup, JobState, Outcome
from b2cal.validation import Provenance

from .view import ProcessingView

_MOST_HOSTS = 10


def provenance(view: ProcessingView, it: Calibration, attempt: Attempt) -> Provenance:
    """From a number in the report back to its inputs, the code and the hosts."""
    release = view.processing.release
    return Provenance(
        facts={
            "release": f"{release.name} ({release.digest[:12]})",
            "script": it.definition.module,
            "submission": f"{attempt.submission.number}, by {attempt.submission.submitted_by}",
            "attempt": f"{attempt.number}, begun {attempt.started_at:%Y-%m-%d %H:%M:%S} UTC",
            "runs": str(view.runs),
            **_computed_by(view.db, attempt),
            **({"made by hand": attempt.message} if attempt.outcome is Outcome.REPLACED else {}),
        },
        configuration=attempt.submission.config,
        files=list(dict.fromkeys((frozen.file.path, frozen.sha256) for frozen in attempt.files)),
        constants=[
            (read.name, str(IoV.from_numbers(read.first, read.last)), read.payload.identity)
            for read in attempt.reads
            if read.used
        ],
    )


def _computed_by(db: Session, attempt: Attempt) -> dict[str, str]:
    """Which code computed on which hosts."""
    hosts = db.execute(
        select(Job.host, func.count(Job.id))
        .join(JobGroup, JobGroup.id == Job.group_id)
        .where(JobGroup.attempt_id == attempt.id, Job.state == JobState.DONE, Job.host != "")
        .group_by(Job.host)
        .order_by(func.count(Job.id).desc(), Job.host)
    ).all()
    named = [f"{host} ({n} {'job' if n == 1 else 'jobs'})" for host, n in hosts[:_MOST_HOSTS]]
    if len(hosts) > _MOST_HOSTS:
        named.append(f"and {len(hosts) - _MOST_HOSTS} more")
    facts = {"judged by": f"b2cal {b2cal.version()}"}
    if attempt.code_digest:
        facts["jobs ran"] = f"b2cal {attempt.code_version} ({attempt.code_digest[:12]})"
    if named:
        facts["on"] = ", ".join(named)
    return facts
