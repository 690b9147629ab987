"""Whether jobs, and b2cal itself, can prove at the doors of a centre who they are, and until when."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from b2cal.data import Credential, Credentials, CredentialTrouble, spoken_moment
from b2cal.settings import Settings

from .finding import Finding, Health
from .windows_and_reminders import spoken

_SOON = timedelta(days=1)


def credential_findings(settings: Settings, centre: str, at: datetime) -> Iterator[Finding]:
    """What is found of the credentials that the settings of a centre name."""
    credentials = Credentials.of(settings, centre)
    for it in credentials:
        yield _found(it, credentials, at)


def _found(it: Credential, credentials: Credentials, at: datetime) -> Finding:
    what = f"{it.setting} of {it.centre}"
    try:
        until = it.valid_until(at)
    except CredentialTrouble as error:
        return Finding(what, Health.ILL, str(error), f"{error.hint} {credentials.renewal_trouble()}".rstrip())
    says = f"{it.file} is valid until {spoken_moment(until)}, for {spoken(until - at)}"
    trouble = credentials.renewal_trouble() if credentials.are_to_be_renewed(at) else ""
    if until - at < _SOON and (trouble or not credentials.storage.renew):
        least = spoken(timedelta(seconds=credentials.storage.least_left_s))
        do = f"Renew it: nothing is submitted there when it has less than {least} left. {trouble}".rstrip()
        return Finding(what, Health.WARNING, says, do)
    return Finding(what, Health.WELL, says)
