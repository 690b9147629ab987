"""First tables

Revision: 0001, the first.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# An address may begin with mysql: or with mariadb:, and each heeds its own options only.
MARIADB = {
    f"{dialect}_{option}": value
    for dialect in ("mysql", "mariadb")
    for option, value in (("charset", "utf8mb4"), ("engine", "InnoDB"))
}


def text(length: int) -> sa.String:
    """A string compared byte by byte."""
    return sa.String(length).with_variant(mysql.VARCHAR(length, collation="utf8mb4_bin"), "mysql", "mariadb")


def prose() -> sa.Text:
    """A text of any length."""
    return sa.Text().with_variant(mysql.LONGTEXT(collation="utf8mb4_bin"), "mysql", "mariadb")


def moment() -> sa.DateTime:
    """UTC with microseconds."""
    return sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def big() -> sa.BigInteger:
    """A key that counts by itself on SQLite too."""
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "global_tag",
        sa.Column("id", big(), autoincrement=True, nullable=False),
        sa.Column("name", text(64), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "open",
                "testing",
                "validated",
                "published",
                "running",
                "invalid",
                name="tagstate",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", moment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_global_tag")),
        sa.UniqueConstraint("name", name=op.f("uq_global_tag_name")),
        **MARIADB,
    )
    op.create_table(
        "lease",
        sa.Column("name", text(64), nullable=False),
        sa.Column("holder", text(128), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("expires_at", moment(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_lease")),
        **MARIADB,
    )
    op.create_table(
        "local_job",
        sa.Column("id", big(), autoincrement=True, nullable=False),
        sa.Column("token", text(32), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("folder", text(700), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "queued",
                "running",
                "done",
                "failed",
                "cancelled",
                name="jobstate",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("queued_at", moment(), nullable=False),
        sa.Column("changed_at", moment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_local_job")),
        sa.UniqueConstraint("token", "epoch", "number", name=op.f("uq_local_job_token_epoch_number")),
        **MARIADB,
    )

    op.create_index("ix_local_job_changed_at", "local_job", ["changed_at"], unique=False)
    op.create_index("ix_local_job_state", "local_job", ["state"], unique=False)

    op.create_table(
        "outbox",
        sa.Column("id", big(), autoincrement=True, nullable=False),
        sa.Column("key", text(128), nullable=False),
        sa.Column("kind", text(64), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("created_at", moment(), nullable=False),
        sa.Column("sent_at", moment(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("key", name=op.f("uq_outbox_key")),
        **MARIADB,
    )

    op.create_index("ix_outbox_sent_at", "outbox", ["sent_at"], unique=False)

    op.create_table(
        "payload",
        sa.Column("id", big(), autoincrement=True, nullable=False),
        sa.Column("name", text(128), nullable=False),
        sa.Column("identity", text(64), nullable=False),
        sa.Column("checksum", text(64), nullable=False, comment="SHA-256 of the file"),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("created_at", moment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payload")),
        sa.UniqueConstraint("name", "identity", name=op.f("uq_payload_name_identity")),
        **MARIADB,
    )
    op.create_table(
        "person",
        sa.Column("username", text(64), nullable=False),
        sa.Column("full_name", text(128), nullable=False),
        sa.Column(
            "role",
            sa.Enum(
                "expert", "deputy", "manager", "loop", name="role", native_enum=False, create_constraint=True, length=24
            ),
            nullable=False,
        ),
        sa.Column("password_hash", prose(), nullable=False),
        sa.CheckConstraint("role in ('expert', 'manager')", name=op.f("ck_person_can_log_in")),
        sa.PrimaryKeyConstraint("username", name=op.f("pk_person")),
        **MARIADB,
    )
    op.create_table(
        "release",
        sa.Column("id", big(), autoincrement=True, nullable=False),
        sa.Column("name", text(64), nullable=False),
        sa.Column("digest", text(64), nullable=False),
        sa.Column("interpreter", text(700), nullable=False),
        sa.Column("vocabulary", sa.JSON(), nullable=False),
        sa.Column("added_at", moment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_release")),
        sa.UniqueConstraint("digest", name=op.f("uq_release_digest")),
        **MARIADB,
    )
    op.create_table(
        "run",
        sa.Column(
            "exprun", sa.BigInteger(), autoincrement=False, nullable=False, comment="ExpRun.number; open end = 2^63-1"
        ),
        sa.Column("started_at", moment(), nullable=False),
        sa.Column("duration_s", sa.Double(), nullable=False),
        sa.Column("n_events", sa.BigInteger(), nullable=False),
        sa.Column("attributes", sa.JSON(), nullable=False, comment="filter category -> values"),
        sa.Column("expected", sa.JSON(), nullable=False, comment="data name -> events that should arrive"),
        sa.PrimaryKeyConstraint("exprun", name=op.f("pk_run")),
        **MARIADB,
    )
    op.create_table(
        "unreadable_file",
        sa.Column("path", text(700), nullable=False),
        sa.Column("reason", prose(), nullable=False),
        sa.Column("seen_at", moment(), nullable=False),
        sa.PrimaryKeyConstraint("path", name=op.f("pk_unreadable_file")),
        **MARIADB,
    )
    op.create_table(
        "definition",
        sa.Column("id", big(), autoincrement=True, nullable=False),
        sa.Column("release_id", big(), nullable=False),
        sa.Column("name", text(64), nullable=False),
        sa.Column("module", text(128), nullable=False),
        sa.Column(
            "step",
            sa.Enum(
                "local",
                "pre-tracking",
                "alignment",
                "cdst-production",
                "post-tracking",
                "analysis",
                name="step",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column(
            "kind",
            sa.Enum("calibrate", "copy", "produce", name="kind", native_enum=False, create_constraint=True, length=24),
            nullable=False,
        ),
        sa.Column("expert", text(64), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False, comment="Belle II's CalibrationSettings; depends_on as names"),
        sa.Column("config_schema", sa.JSON(), nullable=False, comment="JSON Schema of expert_config"),
        sa.Column(
            "traits",
            sa.JSON(),
            nullable=False,
            comment="strategy, max_iterations, limits, branches: what the class declares",
        ),
        sa.ForeignKeyConstraint(["release_id"], ["release.id"], name=op.f("fk_definition_release_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_definition")),
        sa.UniqueConstraint("release_id", "name", name=op.f("uq_definition_release_id_name")),
        **MARIADB,
    )
    op.create_table(
        "processing",
        sa.Column("id", big(), autoincrement=True, nullable=False),
        sa.Column("name", text(64), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "prompt", "reprocessing", name="processingkind", native_enum=False, create_constraint=True, length=24
            ),
            nullable=False,
        ),
        sa.Column(
            "state",
            sa.Enum(
                "planned",
                "active",
                "complete",
                "published",
                "cancelled",
                name="processingstate",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("held", sa.Boolean(), nullable=False),
        sa.Column("run_first", sa.BigInteger(), nullable=False, comment="ExpRun.number; open end = 2^63-1"),
        sa.Column("run_last", sa.BigInteger(), nullable=False, comment="ExpRun.number; open end = 2^63-1"),
        sa.Column("release_id", big(), nullable=False),
        sa.Column("manager", text(64), nullable=False),
        sa.Column("centre", text(64), nullable=False),
        sa.Column("base_tag_id", big(), nullable=False),
        sa.Column("target_tag_id", big(), nullable=False),
        sa.Column("window_s", sa.Double(), nullable=False),
        sa.Column("reject_window_s", sa.Double(), nullable=False, comment="length of the window that a reject opens"),
        sa.Column(
            "start_policy",
            sa.Enum("ready", "deadline", name="startpolicy", native_enum=False, create_constraint=True, length=24),
            nullable=False,
        ),
        sa.Column(
            "sign_off_policy",
            sa.Enum("auto", "manual", name="signoffpolicy", native_enum=False, create_constraint=True, length=24),
            nullable=False,
        ),
        sa.Column(
            "no_verdict_policy",
            sa.Enum("generic", "ask", name="noverdictpolicy", native_enum=False, create_constraint=True, length=24),
            nullable=False,
        ),
        sa.Column(
            "publish_policy",
            sa.Enum("auto", "manual", name="publishpolicy", native_enum=False, create_constraint=True, length=24),
            nullable=False,
        ),
        sa.Column("version", sa.Integer(), nullable=False, comment="guards people's clicks"),
        sa.Column("signal", sa.Integer(), nullable=False, comment="raised with everything that can make something due"),
        sa.Column("generation", sa.Integer(), nullable=False, comment="raised when something finished is reopened"),
        sa.Column("created_at", moment(), nullable=False),
        sa.Column("activated_at", moment(), nullable=True),
        sa.Column("ended_at", moment(), nullable=True),
        sa.CheckConstraint("run_first <= run_last", name=op.f("ck_processing_runs_ordered")),
        sa.ForeignKeyConstraint(["base_tag_id"], ["global_tag.id"], name=op.f("fk_processing_base_tag_id")),
        sa.ForeignKeyConstraint(["manager"], ["person.username"], name=op.f("fk_processing_manager")),
        sa.ForeignKeyConstraint(["release_id"], ["release.id"], name=op.f("fk_processing_release_id")),
        sa.ForeignKeyConstraint(["target_tag_id"], ["global_tag.id"], name=op.f("fk_processing_target_tag_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_processing")),
        sa.UniqueConstraint("name", name=op.f("uq_processing_name")),
        **MARIADB,
    )
    op.create_table(
        "tag_iov",
        sa.Column("id", big(), autoincrement=True, nullable=False),
        sa.Column("tag_id", big(), nullable=False),
        sa.Column("name", text(128), nullable=False),
        sa.Column("payload_id", big(), nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False, comment="ExpRun.number; open end = 2^63-1"),
        sa.Column("last", sa.BigInteger(), nullable=False, comment="ExpRun.number; open end = 2^63-1"),
        sa.CheckConstraint("first <= last", name=op.f("ck_tag_iov_ordered")),
        sa.ForeignKeyConstraint(["payload_id"], ["payload.id"], name=op.f("fk_tag_iov_payload_id")),
        sa.ForeignKeyConstraint(["tag_id"], ["global_tag.id"], name=op.f("fk_tag_iov_tag_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tag_iov")),
        sa.UniqueConstraint("tag_id", "name", "first", name=op.f("uq_tag_iov_tag_id_name_first")),
        **MARIADB,
    )
    op.create_table(
        "base_iov",
        sa.Column("processing_id", big(), nullable=False),
        sa.Column("name", text(128), nullable=False),
        sa.Column(
            "first", sa.BigInteger(), autoincrement=False, nullable=False, comment="ExpRun.number; open end = 2^63-1"
        ),
        sa.Column("last", sa.BigInteger(), nullable=False, comment="ExpRun.number; open end = 2^63-1"),
        sa.Column("payload_id", big(), nullable=False),
        sa.ForeignKeyConstraint(["payload_id"], ["payload.id"], name=op.f("fk_base_iov_payload_id")),
        sa.ForeignKeyConstraint(["processing_id"], ["processing.id"], name=op.f("fk_base_iov_processing_id")),
        sa.PrimaryKeyConstraint("processing_id", "name", "first", name=op.f("pk_base_iov")),
        **MARIADB,
    )
    op.create_table(
        "calibration",
        sa.Column("id", big(), autoincrement=True, nullable=False),
        sa.Column("processing_id", big(), nullable=False),
        sa.Column("definition_id", big(), nullable=False),
        sa.Column("name", text(64), nullable=False),
        sa.Column(
            "step",
            sa.Enum(
                "local",
                "pre-tracking",
                "alignment",
                "cdst-production",
                "post-tracking",
                "analysis",
                name="step",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column(
            "kind",
            sa.Enum("calibrate", "copy", "produce", name="kind", native_enum=False, create_constraint=True, length=24),
            nullable=False,
        ),
        sa.Column("upstream", sa.JSON(), nullable=False, comment="names of the direct upstream calibrations, frozen"),
        sa.Column("expert", text(64), nullable=False),
        sa.Column("deputy", text(64), nullable=True),
        sa.Column(
            "state",
            sa.Enum(
                "open",
                "submitted",
                "running",
                "validating",
                "review",
                "signed_off",
                "vetoed",
                "failed",
                name="state",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("signal", sa.Integer(), nullable=False),
        sa.Column("since", moment(), nullable=False, comment="when it came into its state"),
        sa.Column("window_started_at", moment(), nullable=True),
        sa.Column("window_ends_at", moment(), nullable=True),
        sa.Column("reminders_sent", sa.Integer(), nullable=False),
        sa.Column(
            "selection", sa.JSON(), nullable=True, comment="the manager's selection for a definition without filters"
        ),
        sa.Column("accept_incomplete", sa.Boolean(), nullable=False, comment="somebody decided to go on"),
        sa.Column("kept_reads", text(64), nullable=True, comment="what it would read when somebody decided to keep it"),
        sa.Column("fallback_tag_id", big(), nullable=True),
        sa.Column("problem", prose(), nullable=False, comment="why it failed or asks"),
        sa.ForeignKeyConstraint(["definition_id"], ["definition.id"], name=op.f("fk_calibration_definition_id")),
        sa.ForeignKeyConstraint(["deputy"], ["person.username"], name=op.f("fk_calibration_deputy")),
        sa.ForeignKeyConstraint(["expert"], ["person.username"], name=op.f("fk_calibration_expert")),
        sa.ForeignKeyConstraint(["fallback_tag_id"], ["global_tag.id"], name=op.f("fk_calibration_fallback_tag_id")),
        sa.ForeignKeyConstraint(["processing_id"], ["processing.id"], name=op.f("fk_calibration_processing_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_calibration")),
        sa.UniqueConstraint("processing_id", "definition_id", name=op.f("uq_calibration_processing_id_definition_id")),
        sa.UniqueConstraint("processing_id", "name", name=op.f("uq_calibration_processing_id_name")),
        **MARIADB,
    )
    op.create_table(
        "definition_payload",
        sa.Column("release_id", big(), nullable=False),
        sa.Column("payload_name", text(128), nullable=False),
        sa.Column("definition_id", big(), nullable=False),
        sa.ForeignKeyConstraint(["definition_id"], ["definition.id"], name=op.f("fk_definition_payload_definition_id")),
        sa.ForeignKeyConstraint(["release_id"], ["release.id"], name=op.f("fk_definition_payload_release_id")),
        sa.PrimaryKeyConstraint("release_id", "payload_name", name=op.f("pk_definition_payload")),
        **MARIADB,
    )
    op.create_table(
        "decision",
        sa.Column("id", big(), autoincrement=True, nullable=False),
        sa.Column("processing_id", big(), nullable=False),
        sa.Column("calibration_id", big(), nullable=True),
        sa.Column("at", moment(), nullable=False),
        sa.Column("actor", text(64), nullable=False),
        sa.Column(
            "role",
            sa.Enum(
                "expert", "deputy", "manager", "loop", name="role", native_enum=False, create_constraint=True, length=24
            ),
            nullable=False,
        ),
        sa.Column("verb", text(64), nullable=False),
        sa.Column("from_state", text(64), nullable=False),
        sa.Column("to_state", text(64), nullable=False),
        sa.Column("reason", prose(), nullable=False),
        sa.Column(
            "seen", text(64), nullable=False, comment="hash of the evidence that was in front of whoever decided"
        ),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("request_key", text(128), nullable=True, comment="makes a click idempotent"),
        sa.ForeignKeyConstraint(["calibration_id"], ["calibration.id"], name=op.f("fk_decision_calibration_id")),
        sa.ForeignKeyConstraint(["processing_id"], ["processing.id"], name=op.f("fk_decision_processing_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_decision")),
        sa.UniqueConstraint("request_key", name=op.f("uq_decision_request_key")),
        **MARIADB,
    )

    op.create_index(
        "ix_decision_processing_id_calibration_id_id",
        "decision",
        ["processing_id", "calibration_id", "id"],
        unique=False,
    )

    op.create_table(
        "submission",
        sa.Column("id", big(), autoincrement=True, nullable=False),
        sa.Column("calibration_id", big(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("live", sa.Boolean(), nullable=True, comment="true or null: marker of the submission that counts"),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("selection", sa.JSON(), nullable=False),
        sa.Column("submitted_by", text(64), nullable=False),
        sa.Column("automatic", sa.Boolean(), nullable=False),
        sa.Column("submitted_at", moment(), nullable=False),
        sa.Column("comment", prose(), nullable=False),
        sa.CheckConstraint("live is null or live = 1", name=op.f("ck_submission_live_marker")),
        sa.ForeignKeyConstraint(["calibration_id"], ["calibration.id"], name=op.f("fk_submission_calibration_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_submission")),
        sa.UniqueConstraint("calibration_id", "live", name=op.f("uq_submission_calibration_id_live")),
        sa.UniqueConstraint("calibration_id", "number", name=op.f("uq_submission_calibration_id_number")),
        **MARIADB,
    )
    op.create_table(
        "attempt",
        sa.Column("id", big(), autoincrement=True, nullable=False),
        sa.Column("calibration_id", big(), nullable=False),
        sa.Column("submission_id", big(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("live", sa.Boolean(), nullable=True, comment="true or null: marker of the current attempt"),
        sa.Column("seed", text(64), nullable=False, comment="hash over files, configuration and payload identities"),
        sa.Column("runs", sa.JSON(), nullable=False, comment="every run with taken or left out, and the reason"),
        sa.Column("started_at", moment(), nullable=False),
        sa.Column("ended_at", moment(), nullable=True),
        sa.Column(
            "outcome",
            sa.Enum(
                "constants",
                "nothing",
                "files",
                "replaced",
                "failed",
                name="outcome",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=True,
        ),
        sa.Column("converged", sa.Boolean(), nullable=False),
        sa.Column("message", prose(), nullable=False),
        sa.Column(
            "rejected", sa.Boolean(), nullable=False, comment="its combination is not submitted automatically again"
        ),
        sa.CheckConstraint("live is null or live = 1", name=op.f("ck_attempt_live_marker")),
        sa.ForeignKeyConstraint(["calibration_id"], ["calibration.id"], name=op.f("fk_attempt_calibration_id")),
        sa.ForeignKeyConstraint(["submission_id"], ["submission.id"], name=op.f("fk_attempt_submission_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempt")),
        sa.UniqueConstraint("calibration_id", "live", name=op.f("uq_attempt_calibration_id_live")),
        sa.UniqueConstraint("calibration_id", "number", name=op.f("uq_attempt_calibration_id_number")),
        **MARIADB,
    )
    op.create_table(
        "attempt_payload",
        sa.Column("attempt_id", big(), nullable=False),
        sa.Column("name", text(128), nullable=False),
        sa.Column(
            "first", sa.BigInteger(), autoincrement=False, nullable=False, comment="ExpRun.number; open end = 2^63-1"
        ),
        sa.Column("last", sa.BigInteger(), nullable=False, comment="ExpRun.number; open end = 2^63-1"),
        sa.Column("payload_id", big(), nullable=False),
        sa.CheckConstraint("first <= last", name=op.f("ck_attempt_payload_ordered")),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempt.id"], name=op.f("fk_attempt_payload_attempt_id")),
        sa.ForeignKeyConstraint(["payload_id"], ["payload.id"], name=op.f("fk_attempt_payload_payload_id")),
        sa.PrimaryKeyConstraint("attempt_id", "name", "first", name=op.f("pk_attempt_payload")),
        **MARIADB,
    )
    op.create_table(
        "attempt_read",
        sa.Column("attempt_id", big(), nullable=False),
        sa.Column("name", text(128), nullable=False),
        sa.Column(
            "first", sa.BigInteger(), autoincrement=False, nullable=False, comment="ExpRun.number; open end = 2^63-1"
        ),
        sa.Column("last", sa.BigInteger(), nullable=False, comment="ExpRun.number; open end = 2^63-1"),
        sa.Column("payload_id", big(), nullable=False),
        sa.Column(
            "producer", text(64), nullable=True, comment="the upstream calibration it came from; null = the base"
        ),
        sa.Column("used", sa.Boolean(), nullable=True),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempt.id"], name=op.f("fk_attempt_read_attempt_id")),
        sa.ForeignKeyConstraint(["payload_id"], ["payload.id"], name=op.f("fk_attempt_read_payload_id")),
        sa.PrimaryKeyConstraint("attempt_id", "name", "first", name=op.f("pk_attempt_read")),
        **MARIADB,
    )
    op.create_table(
        "data_file",
        sa.Column("id", big(), autoincrement=True, nullable=False),
        sa.Column("path", text(700), nullable=False),
        sa.Column("data_name", text(64), nullable=False),
        sa.Column(
            "format",
            sa.Enum(
                "raw", "cdst", "mdst", "udst", name="dataformat", native_enum=False, create_constraint=True, length=24
            ),
            nullable=False,
        ),
        sa.Column("exprun", sa.BigInteger(), nullable=False, comment="ExpRun.number; open end = 2^63-1"),
        sa.Column("n_events", sa.BigInteger(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column(
            "mtime_ns", sa.BigInteger(), nullable=False, comment="a file of the same size and age is not read again"
        ),
        sa.Column("sha256", text(64), nullable=False),
        sa.Column("registered_at", moment(), nullable=False),
        sa.Column(
            "attempt_id", big(), nullable=True, comment="the cDST production that made it; null = from the detector"
        ),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempt.id"], name=op.f("fk_data_file_attempt_id")),
        sa.ForeignKeyConstraint(["exprun"], ["run.exprun"], name=op.f("fk_data_file_exprun")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_data_file")),
        sa.UniqueConstraint("path", name=op.f("uq_data_file_path")),
        **MARIADB,
    )

    op.create_index(
        "ix_data_file_data_name_format_exprun", "data_file", ["data_name", "format", "exprun"], unique=False
    )

    op.create_table(
        "job_group",
        sa.Column("id", big(), autoincrement=True, nullable=False),
        sa.Column("attempt_id", big(), nullable=False),
        sa.Column(
            "stage",
            sa.Enum(
                "collect",
                "fit",
                "produce",
                "measure",
                name="stage",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("iteration", sa.Integer(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "wanted",
                "submitted",
                "done",
                "failed",
                "cancelled",
                name="groupstate",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("spec", sa.JSON(), nullable=False, comment="what all its jobs share of job.json"),
        sa.Column("token", text(32), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False, comment="the submission that counts; 0 = never submitted"),
        sa.Column("not_before", moment(), nullable=False),
        sa.Column("wanted_at", moment(), nullable=False),
        sa.Column("submitted_at", moment(), nullable=True),
        sa.Column("ended_at", moment(), nullable=True),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempt.id"], name=op.f("fk_job_group_attempt_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job_group")),
        sa.UniqueConstraint(
            "attempt_id", "stage", "iteration", "round", name=op.f("uq_job_group_attempt_id_stage_iteration_round")
        ),
        sa.UniqueConstraint("token", name=op.f("uq_job_group_token")),
        **MARIADB,
    )

    op.create_index("ix_job_group_state", "job_group", ["state"], unique=False)

    op.create_table(
        "verdict",
        sa.Column("attempt_id", big(), nullable=False),
        sa.Column(
            "grade",
            sa.Enum("pass", "warn", "fail", name="grade", native_enum=False, create_constraint=True, length=24),
            nullable=False,
        ),
        sa.Column("generic_only", sa.Boolean(), nullable=False, comment="the script gave no measurements"),
        sa.Column("checks", sa.JSON(), nullable=False),
        sa.Column("report", text(128), nullable=False, comment="file below the reports folder"),
        sa.Column("judged_at", moment(), nullable=False),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempt.id"], name=op.f("fk_verdict_attempt_id")),
        sa.PrimaryKeyConstraint("attempt_id", name=op.f("pk_verdict")),
        **MARIADB,
    )
    op.create_table(
        "attempt_file",
        sa.Column("attempt_id", big(), nullable=False),
        sa.Column("data_file_id", big(), nullable=False),
        sa.Column("sha256", text(64), nullable=False),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempt.id"], name=op.f("fk_attempt_file_attempt_id")),
        sa.ForeignKeyConstraint(["data_file_id"], ["data_file.id"], name=op.f("fk_attempt_file_data_file_id")),
        sa.PrimaryKeyConstraint("attempt_id", "data_file_id", name=op.f("pk_attempt_file")),
        **MARIADB,
    )
    op.create_table(
        "group_epoch",
        sa.Column("group_id", big(), nullable=False),
        sa.Column("epoch", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("intended_at", moment(), nullable=False),
        sa.Column("recorded_at", moment(), nullable=True),
        sa.CheckConstraint("epoch >= 1", name=op.f("ck_group_epoch_from_one")),
        sa.ForeignKeyConstraint(["group_id"], ["job_group.id"], name=op.f("fk_group_epoch_group_id")),
        sa.PrimaryKeyConstraint("group_id", "epoch", name=op.f("pk_group_epoch")),
        **MARIADB,
    )
    op.create_table(
        "job",
        sa.Column("id", big(), autoincrement=True, nullable=False),
        sa.Column("group_id", big(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("label", text(128), nullable=False, comment="what it works on, for people: 'runs e1r3 to e1r5'"),
        sa.Column("spec", sa.JSON(), nullable=False, comment="its own part of job.json: the input files"),
        sa.Column(
            "state",
            sa.Enum(
                "queued",
                "running",
                "done",
                "failed",
                "cancelled",
                name="jobstate",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("batch_id", text(128), nullable=False),
        sa.Column("folder", text(700), nullable=False, comment="below the attempts folder"),
        sa.Column("host", text(128), nullable=False),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("error", prose(), nullable=False, comment="the first error, one line"),
        sa.Column("retry", prose(), nullable=False, comment="the retry rule that was applied and why"),
        sa.Column("started_at", moment(), nullable=True),
        sa.Column("ended_at", moment(), nullable=True),
        sa.Column("cpu_s", sa.Double(), nullable=True),
        sa.Column("memory_bytes", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["group_id"], ["job_group.id"], name=op.f("fk_job_group_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job")),
        sa.UniqueConstraint("group_id", "number", name=op.f("uq_job_group_id_number")),
        **MARIADB,
    )

    op.create_index("ix_job_group_id_state", "job", ["group_id", "state"], unique=False)


def downgrade() -> None:
    # The indexes go with their tables; some of them MariaDB needs for a reference, and lets go only so.
    op.drop_table("job")
    op.drop_table("group_epoch")
    op.drop_table("attempt_file")
    op.drop_table("verdict")
    op.drop_table("job_group")
    op.drop_table("data_file")
    op.drop_table("attempt_read")
    op.drop_table("attempt_payload")
    op.drop_table("attempt")
    op.drop_table("submission")
    op.drop_table("decision")
    op.drop_table("definition_payload")
    op.drop_table("calibration")
    op.drop_table("base_iov")
    op.drop_table("tag_iov")
    op.drop_table("processing")
    op.drop_table("definition")
    op.drop_table("unreadable_file")
    op.drop_table("run")
    op.drop_table("release")
    op.drop_table("person")
    op.drop_table("payload")
    op.drop_table("outbox")
    op.drop_table("local_job")
    op.drop_table("lease")
    op.drop_table("global_tag")
