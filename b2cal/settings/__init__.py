"""All settings of b2cal, in one typed tree: environment `B2CAL_*`, then `b2cal.toml`, then the defaults below."""

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from b2cal.core.errors import B2calError, listed, sentence
from b2cal.refusal import explained, spelled, suggestion

from .jobs import (
    XRD_ENVIRONMENT,
    BatchSettings,
    Centre,
    CentreName,
    CentreSettings,
    CondorSettings,
    Door,
    LsfSettings,
    Output,
    RetryRule,
    RetryRules,
    StorageSettings,
)
from .sections import LONGEST_DAYS, LONGEST_S, Port, Seconds, Section

__all__ = [
    "LONGEST_DAYS",
    "LONGEST_S",
    "NO_SETTINGS",
    "XRD_ENVIRONMENT",
    "AirflowSettings",
    "BatchSettings",
    "Centre",
    "CentreSettings",
    "CondorSettings",
    "DataSettings",
    "Door",
    "LoopSettings",
    "LsfSettings",
    "Output",
    "RetryRule",
    "RetryRules",
    "Section",
    "Settings",
    "SettingsRefused",
    "SiteSettings",
    "StorageSettings",
    "read_settings",
]

PREFIX, FILE = "B2CAL_", "b2cal.toml"

NO_SETTINGS = {"B2CAL_USER", "B2CAL_DAGS", "B2CAL_CRASH_AT"}
"""Variables of that prefix that say something else: who acts, where Airflow finds its graphs, where a test kills."""


class SettingsRefused(B2calError):
    """b2cal.toml cannot be read, a key or variable is unknown, or a value cannot be used."""


class SiteSettings(Section):
    """The web site."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: Port = Field(8400, description="port of the site")
    workers: Annotated[int, Field(ge=1)] = Field(1, description="Gunicorn processes")
    threads: Annotated[int, Field(ge=1)] = Field(4, description="threads of each")


class AirflowSettings(Section):
    """The Airflow that `b2cal up` runs."""

    port: Port = Field(8480, description="port of its pages, on this machine only")
    parallelism: Annotated[int, Field(ge=1, le=32)] = Field(4, description="tasks at a time")
    database_url: str = Field("", description="empty = SQLite below the home folder; PostgreSQL for many processings")


class LoopSettings(Section):
    """Times of the calibration loop, and how much a person may bring into it."""

    window_s: Seconds = Field(48 * 3600.0, description="length of a window")
    reject_window_s: Seconds = Field(24 * 3600.0, description="the same after a reject or a lifted veto")
    inputs_patience_s: Seconds = Field(24 * 3600.0, description="incomplete inputs are put to the manager after this")
    reminders: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(
        (0.5, 0.8), description="fractions of a window after which its expert is reminded"
    )
    by_hand_bytes: Annotated[int, Field(ge=1)] = Field(
        200_000_000, description="payloads made by hand that replace others: their size, packed and unpacked"
    )


class DataSettings(Section):
    """Arrival of data, and how long they stay."""

    scan_every_s: Seconds = Field(600.0, description="how often watched folders are scanned")
    keep_days: Annotated[int, Field(ge=0, le=LONGEST_DAYS)] = Field(
        0, description="new files may be deleted so many days after their arrival; 0 = never"
    )
    copy_every_s: Seconds = Field(60.0, description="how often it is looked what is to be copied to tape")
    free_bytes: Annotated[int, Field(ge=0)] = Field(
        2_000_000_000, description="the doctor warns when less is free where the home folder lies"
    )
    payload_bytes: Annotated[int, Field(ge=0)] = Field(
        10_000_000, description="room that a processing needs for each payload, with what leads to it"
    )
    share: Annotated[float, Field(ge=0)] = Field(
        0.5, description="bytes that productions write, per byte that they read"
    )
    shares: dict[str, Annotated[float, Field(ge=0)]] = Field({}, description="the same by name of the production")

    def output_share(self, production: str) -> float:
        """Bytes that a production writes, per byte that it reads."""
        return self.shares.get(production, self.share)


class Settings(BaseSettings):
    """The whole tree. `home` holds everything that b2cal writes: database, payloads, attempts, logs."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", toml_file=FILE, extra="forbid", frozen=True
    )

    home: Path = Field(Path("var"), description="folder of everything that b2cal writes")
    database_url: str = Field(
        "", description="empty = SQLite below the home folder; or mariadb+pymysql://user:password@host/name"
    )
    site: SiteSettings = SiteSettings()
    airflow: AirflowSettings = AirflowSettings()
    batch: BatchSettings = BatchSettings()
    loop: LoopSettings = LoopSettings()
    data: DataSettings = DataSettings()
    centres: dict[CentreName, Centre] = Field({}, description="batch systems besides this machine, by name")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order of the sources: arguments, environment, b2cal.toml."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @model_validator(mode="before")
    @classmethod
    def _no_unknown_variable(cls, data: Any) -> Any:
        """Without this one underscore in the place of two would silently leave a default in force."""
        known = [*_variables(cls), *sorted(NO_SETTINGS)]
        for name in map(str.upper, os.environ):
            if name.startswith(PREFIX) and name not in known:
                raise ValueError(f"the environment variable {name} is not known; {suggestion(name, known)}")
        return data

    @model_validator(mode="after")
    def _a_port_for_each(self) -> Self:
        if self.site.port == self.airflow.port:
            raise ValueError(f"site.port and airflow.port are both {self.site.port}; they must differ")
        return self

    @property
    def url(self) -> str:
        """SQLAlchemy URL of the calibration database."""
        return self.database_url or f"sqlite:///{self.folder('b2cal.db')}"

    @property
    def storages(self) -> dict[str, StorageSettings]:
        """By the name of the centre, this machine before all others."""
        return {"local": self.batch, **self.centres}

    def interpreter(self, centre: str) -> str:
        """The Python that a centre has for the scripts of releases; empty: the one that a release names."""
        described = self.centres.get(centre)
        return described.interpreter if described else ""

    def folder(self, name: str) -> Path:
        """Absolute path of something below `home`."""
        return self.home.absolute() / name

    @property
    def store(self) -> Path:
        """Payload files, by identity."""
        return self.folder("payloads")

    @property
    def quarantine(self) -> Path:
        """Files that people brought and nobody has checked yet."""
        return self.folder("quarantine")

    @property
    def releases(self) -> Path:
        """Snapshots of releases, by digest."""
        return self.folder("releases")

    @property
    def attempts(self) -> Path:
        """Working folders of attempts: `<attempt>/<stage>/<epoch>/<job>/<try>`."""
        return self.folder("attempts")

    @property
    def reports(self) -> Path:
        """Validation reports, one folder per attempt."""
        return self.folder("reports")

    @property
    def dags(self) -> Path:
        """Frozen graphs of the processings, which the DAG builder reads."""
        return self.folder("dags")

    @property
    def logs(self) -> Path:
        """Logs of the supervised processes."""
        return self.folder("logs")


def read_settings() -> Settings:
    """The settings of this process.

    Raises:
        SettingsRefused: they cannot be used; the message names every key or variable that is wrong.
    """
    try:
        return Settings()
    except ValidationError as error:
        wrong = [f"{spelled(place)} {what}".lstrip() for place, what in explained(error, Settings)]
        raise SettingsRefused(
            sentence(f"The settings cannot be used: {listed(wrong)}"),
            f"Correct {FILE} in this folder, or the environment variables {PREFIX}*.",
        ) from error
    except SettingsError as error:
        raise SettingsRefused(
            sentence(f"The settings cannot be used: {error}"), f"Correct the environment variables {PREFIX}*."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsRefused(f"{Path(FILE).absolute()} is not valid TOML: {error}.", "Correct the file.") from error
    except OSError as error:
        raise SettingsRefused(
            f"{Path(FILE).absolute()} cannot be read: {error.strerror}.", "Make it readable for this user."
        ) from error


def _variables(model: type[BaseModel], prefix: str = PREFIX) -> list[str]:
    """The environment variables that name a setting, or a whole section as JSON."""
    names = []
    for name, field in model.model_fields.items():
        names.append(f"{prefix}{name.upper()}")
        if isinstance(field.default, Section):
            names += _variables(type(field.default), f"{names[-1]}__")
    return names
