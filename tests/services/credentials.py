"""Credentials of the tests' own: tokens of an issuer, and X.509 proxies of an authority that nobody else trusts."""

import base64
import json
import subprocess
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID, ObjectIdentifier

_PROXY_INFO = ObjectIdentifier("1.3.6.1.5.5.7.1.14")
_INHERITS_ALL = bytes.fromhex("300c300a06082b06010505071501")
"""RFC 3820: a proxy that may do whatever its owner may."""

_Named = list[tuple[ObjectIdentifier, str]]


def token(lasts: timedelta, subject: str = "prod") -> str:
    """A bearer token that nobody has signed."""
    claims = {"sub": subject, "exp": int((datetime.now(UTC) + lasts).timestamp())}
    return ".".join([_part({"alg": "none"}), _part(claims), _part({})])


@dataclass(frozen=True)
class Issuer:
    """Signs bearer tokens as the grid does (WLCG profile 1.0), each time with the same key."""

    url: str = "https://tokens.example.org"

    @cached_property
    def _key(self) -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(65537, 2048)

    @property
    def keys(self) -> dict[str, object]:
        """By which its signatures are known (JWKS)."""
        public = self._key.public_key().public_numbers()
        n, e = (_in_words(it.to_bytes(-(-it.bit_length() // 8))) for it in (public.n, public.e))
        return {"keys": [{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "tests", "n": n, "e": e}]}

    def token(self, scope: str = "storage.read:/ storage.create:/ storage.modify:/") -> str:
        """A token that lasts for an hour."""
        at = int(datetime.now(UTC).timestamp())
        claims = {
            "wlcg.ver": "1.0",
            "iss": self.url,
            "sub": "prod",
            "aud": "https://wlcg.cern.ch/jwt/v1/any",
            "iat": at - 60,
            "nbf": at - 60,
            "exp": at + 3600,
            "jti": uuid.uuid4().hex,
            "scope": scope,
        }
        signed = f"{_part({'alg': 'RS256', 'typ': 'JWT', 'kid': 'tests'})}.{_part(claims)}"
        return f"{signed}.{_in_words(self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def _part(content: object) -> str:
    return _in_words(json.dumps(content).encode())


def _in_words(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def private(path: Path, content: str | bytes) -> Path:
    """A file that nobody else may read, put into its place in one step."""
    half = path.with_name(f"{path.name}.half")
    half.write_bytes(content.encode() if isinstance(content, str) else content)
    half.chmod(0o600)
    return half.replace(path)


@dataclass(frozen=True)
class Certified:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey

    @property
    def certificate_pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
        return self.key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain)


@dataclass(frozen=True)
class Authority:
    """An authority, and one user and one server of it; to be quick they share one key."""

    name: str = "authority"

    @cached_property
    def _key(self) -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(65537, 2048)

    @cached_property
    def itself(self) -> Certified:
        name = [(NameOID.ORGANIZATION_NAME, "b2cal tests"), (NameOID.COMMON_NAME, self.name)]
        return _signed(self._key, name, None, timedelta(days=10), _ca_extensions())

    @cached_property
    def user(self) -> Certified:
        name = [(NameOID.ORGANIZATION_NAME, "b2cal tests"), (NameOID.COMMON_NAME, "prod")]
        return _signed(self._key, name, self.itself, timedelta(days=9))

    @cached_property
    def server(self) -> Certified:
        name = [(NameOID.ORGANIZATION_NAME, "b2cal tests"), (NameOID.COMMON_NAME, "localhost")]
        return _signed(self._key, name, self.itself, timedelta(days=9))

    def trusted_in(self, certificates: Path) -> None:
        """Be found among the authorities of a machine, as the grid keeps them."""
        whole = private(certificates / "authority.pem", self.itself.certificate_pem)
        call = ["openssl", "x509", "-in", whole, "-noout", "-hash"]
        hashed = subprocess.run(call, capture_output=True, text=True, check=True).stdout.strip()
        whole.rename(certificates / f"{hashed}.0")
        (certificates / f"{hashed}.signing_policy").write_text(
            f"access_id_CA X509 '/O=b2cal tests/CN={self.name}'\npos_rights globus CA:sign\n"
            "cond_subjects globus '\"/O=b2cal tests/*\"'\n"
        )

    def proxy(self, lasts: timedelta) -> bytes:
        """A proxy of the user, as voms-proxy-init writes it."""
        name = [(NameOID.ORGANIZATION_NAME, "b2cal tests"), (NameOID.COMMON_NAME, "prod")]
        own_name: _Named = [*name, (NameOID.COMMON_NAME, "4711")]
        made = _signed(self._key, own_name, self.user, lasts, _proxy_extensions())
        encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
        key = made.key.private_bytes(encoding, serialization.PrivateFormat.TraditionalOpenSSL, plain)
        return made.certificate_pem + key + self.user.certificate_pem


def _ca_extensions() -> Iterator[tuple[x509.ExtensionType, bool]]:
    yield x509.BasicConstraints(ca=True, path_length=None), True


def _proxy_extensions() -> Iterator[tuple[x509.ExtensionType, bool]]:
    yield x509.UnrecognizedExtension(_PROXY_INFO, _INHERITS_ALL), True
    yield (
        x509.KeyUsage(
            digital_signature=True,
            key_encipherment=True,
            content_commitment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=False,
            crl_sign=False,
            encipher_only=False,
            decipher_only=False,
        ),
        True,
    )


def _signed(
    key: rsa.RSAPrivateKey,
    name: _Named,
    issuer: Certified | None,
    lasts: timedelta,
    extensions: Iterable[tuple[x509.ExtensionType, bool]] = (),
) -> Certified:
    subject = x509.Name([x509.NameAttribute(oid, value) for oid, value in name])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=30))
        .not_valid_after(now + lasts)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return Certified(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key)
