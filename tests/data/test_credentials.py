"""How long the credentials of a storage are valid, and what is said of those that cannot be used."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from b2cal.data import Credential, Credentials, CredentialTrouble, proving
from b2cal.settings import BatchSettings, CondorSettings, Settings
from tests.services.credentials import Authority, private, token

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


def of(tmp_path: Path, **settings: object) -> Credentials:
    batch = BatchSettings(token=str(tmp_path / "token"), **settings)  # type: ignore[arg-type]
    return Credentials.of(Settings(home=tmp_path, batch=batch), "local")


def refused(setting: str, file: Path) -> CredentialTrouble:
    with pytest.raises(CredentialTrouble) as trouble:
        Credential(setting, "bnl", file).valid_until(NOW)
    assert f"The {setting} {file} of bnl " in str(trouble.value)
    return trouble.value


def test_a_token_and_a_proxy_are_valid_until_their_first_end(tmp_path: Path, authority: Authority) -> None:
    tokens, proxy = private(tmp_path / "token", f"{token(HOUR)}\n"), tmp_path / "proxy"
    at = datetime.now(UTC)
    assert abs(Credential("token", "bnl", tokens).valid_until(at) - (at + HOUR)) < timedelta(minutes=1)
    for asked, valid in ((HOUR, HOUR), (timedelta(days=20), timedelta(days=9))):  # no longer than its owner's
        private(proxy, authority.proxy(asked))
        assert abs(Credential("proxy", "bnl", proxy).valid_until(at) - (at + valid)) < timedelta(minutes=1)


def test_what_has_expired_or_cannot_be_read_is_told_with_the_setting_to_change(
    tmp_path: Path, authority: Authority
) -> None:
    file = private(tmp_path / "credential", token(-HOUR))
    assert "has expired on" in str(refused("token", file))
    private(file, authority.proxy(-HOUR))
    trouble = refused("proxy", file)
    assert "has expired on" in str(trouble)
    assert "`proxy` under [centres.bnl] in b2cal.toml" in trouble.hint
    missing = refused("token", tmp_path / "missing")
    assert "cannot be read: No such file or directory" in str(missing)
    assert "`token` under [centres.bnl]" in missing.hint
    file.chmod(0o640)
    assert "may be read by others" in str(refused("proxy", file))
    assert refused("proxy", file).hint.startswith(f"chmod 600 {file}")


SECRET = "c2VjcmV0"  # no message may repeat what lies in the file


@pytest.mark.parametrize("setting", ["token", "proxy"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        SECRET.encode(),
        b"\xff\xfe",
        f"{SECRET}.{SECRET}.{SECRET}".encode(),
        b"e30.eyJleHAiOiJzb29uIn0.e30",  # {"exp": "soon"}
        b"e30.eyJleHAiOk5hTn0.e30",  # {"exp": NaN}
        b"e30.eyJleHAiOjFlOTl9.e30",  # {"exp": 1e99}
        b"e30.W10.e30",  # []
        b"e30.e30.e30",  # {}
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n",
    ],
)
def test_what_is_no_credential_is_refused_and_nothing_of_it_is_told(
    tmp_path: Path, setting: str, content: bytes
) -> None:
    trouble = refused(setting, private(tmp_path / "file", content))
    assert "is not a" in str(trouble)
    assert SECRET not in f"{trouble} {trouble.hint}"


def test_a_certificate_without_its_key_is_no_proxy(tmp_path: Path, authority: Authority) -> None:
    file = private(tmp_path / "file", authority.user.certificate_pem)
    assert "is not an X.509 proxy with its key" in str(refused("proxy", file))


def test_jobs_need_some_time_and_it_is_renewed_before(tmp_path: Path) -> None:
    credentials = of(tmp_path, renew=["true"], least_left_s=3600, renew_before_s=7200)
    for minutes, due, enough in ((150, False, True), (90, True, True), (30, True, False), (-1, True, False)):
        private(tmp_path / "token", token(timedelta(minutes=minutes)))
        assert credentials.are_to_be_renewed(NOW) is due
        if enough:
            credentials.see_that_they_last(NOW)
            continue
        with pytest.raises(CredentialTrouble):
            credentials.see_that_they_last(NOW)
    assert not of(tmp_path).are_to_be_renewed(NOW)  # nobody has said how


def test_the_settings_of_credentials_fit_together() -> None:
    with pytest.raises(ValueError, match="nothing to renew"):
        BatchSettings(renew=("true",))
    with pytest.raises(ValueError, match="not more than least_left_s"):
        BatchSettings(token="/t", renew=("true",), renew_before_s=60)
    with pytest.raises(ValueError, match="absolute path"):
        BatchSettings(token="t")
    with pytest.raises(ValueError, match="are both named cred"):
        CondorSettings(backend="htcondor", token="/a/cred", proxy="/b/cred")
    assert "/t" in json.dumps(BatchSettings(token="/t").model_dump(mode="json"))


def test_one_goes_through_doors_with_what_the_settings_name_and_afterwards_all_is_as_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BEARER_TOKEN", "my own")
    monkeypatch.setenv("X509_USER_PROXY", "/my/own")
    monkeypatch.delenv("BEARER_TOKEN_FILE", raising=False)
    before = dict(os.environ)
    with proving(BatchSettings(token="/t", proxy="/p")):
        assert (os.environ["BEARER_TOKEN_FILE"], os.environ["X509_USER_PROXY"]) == ("/t", "/p")
        assert "BEARER_TOKEN" not in os.environ
    assert dict(os.environ) == before
    with proving(BatchSettings()):
        assert dict(os.environ) == before
    assert dict(os.environ) == before
