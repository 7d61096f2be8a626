"""The ledger's tables, and the steps that bring an older ledger up to them."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy.types import TypeDecorator

from core.catalog.estimate import MICRO, MILL, in_micros


class Money(TypeDecorator[Decimal]):
    """USD as a whole number of millionths: finer than any discounted price, and the database can add it up.

    What is finer still is rounded up: nothing that costs something is written down as free.
    """

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, _dialect: sa.Dialect) -> int | None:
        return None if value is None else in_micros(value)

    def process_result_value(self, value: int | None, _dialect: sa.Dialect) -> Decimal | None:
        if value is None:
            return None
        amount = Decimal(value) * MICRO
        mills = amount.quantize(MILL)
        return mills if mills == amount else amount


class Moment(TypeDecorator[datetime]):
    """A UTC time as ISO text of one fixed width, so that texts sort as the times do."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: sa.Dialect) -> str | None:
        return None if value is None else value.astimezone(UTC).isoformat(timespec="microseconds")

    def process_result_value(self, value: str | None, _dialect: sa.Dialect) -> datetime | None:
        return None if value is None else datetime.fromisoformat(value)


tables = sa.MetaData()

runs = sa.Table(
    "runs",
    tables,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("visitor", sa.Text),
    sa.Column("account_id", sa.Text),
    sa.Column("account_kind", sa.Text),
    sa.Column("created_at", Moment),
    sa.Column("variant_id", sa.Text),
    sa.Column("preset", sa.Text),
    sa.Column("prompt", sa.Text),
    sa.Column("parameters", sa.JSON),
    sa.Column("seed", sa.Integer),
    sa.Column("pictures", sa.Integer),
    sa.Column("refs", sa.JSON),  # "references" is a word of SQL's own
    sa.Column("estimate", Money),
    sa.Column("state", sa.Text),
    sa.Column("finished_at", Moment),
    sa.Column("troubles", sa.JSON),
    sa.Column("deleted_at", Moment),
    sa.Column("name", sa.Text),
    sa.Column("favourite", sa.Boolean),
    sa.Column("letter", sa.Integer),
    sa.Column("chosen", sa.Boolean),
    sa.Column("comparison_id", sa.Text),
    sa.Column("cell", sa.JSON(none_as_null=True)),  # the rest of the place in that comparison
    sa.Column("invitation", sa.Text),
    sa.Column("owner", sa.Text),  # the replica that works on it
    sa.Column("fence", sa.Integer),
    sa.Column("stopping", sa.Boolean),  # somebody asked the replica that works on it, by another one, to stop waiting
)

predictions = sa.Table(
    "predictions",
    tables,
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("attempt", sa.Integer, primary_key=True),
    sa.Column("model_id", sa.Text),
    sa.Column("payload", sa.JSON),
    sa.Column("status", sa.Text),
    sa.Column("prediction_id", sa.Text),
    sa.Column("error", sa.Text),
    sa.Column("submitting_at", Moment),
    sa.Column("submitted_at", Moment),
    sa.Column("settled_at", Moment),
    sa.Column("reserved", Money),
    sa.Column("charge", Money),
    sa.Column("source", sa.Text),
    sa.Column("model_seconds", sa.Float),
    sa.Column("outputs", sa.JSON),
    sa.Column("troubles", sa.JSON),
    sa.Column("answer", sa.JSON),
    sa.Column("callback", sa.Text, unique=True),  # SHA-256 of the word in the address that the service calls back
    sa.Column("told", sa.Text),  # the prediction's id that a call named, whoever made it
    sa.Column("calls", sa.Integer),
)

uploads = sa.Table(
    "uploads",
    tables,
    sa.Column("account_id", sa.Text, primary_key=True),
    sa.Column("sha256", sa.Text, primary_key=True),
    sa.Column("url", sa.Text),
    sa.Column("uploaded_at", Moment),
)

invitations = sa.Table(
    "invitations",
    tables,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("code_hash", sa.Text, unique=True),  # SHA-256; the code itself is nowhere
    sa.Column("name", sa.Text),
    sa.Column("allowance", Money),
    sa.Column("renews", sa.Text),
    sa.Column("created_at", Moment),
    sa.Column("expires_at", Moment),
    sa.Column("paused", sa.Boolean),
    sa.Column("ended_at", Moment),
)

switches = sa.Table(
    "switches",
    tables,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("since", Moment),
)

leaving = sa.Table(
    "leaving",  # who asked for everything of theirs to be deleted, until that is done
    tables,
    sa.Column("visitor", sa.Text, primary_key=True),
    sa.Column("asked_at", Moment),
)

people = sa.Table(
    "people",  # who has signed in, and the visitor that each is
    tables,
    sa.Column("subject_hash", sa.Text, primary_key=True),  # SHA-256 of what the provider calls them for good
    sa.Column("visitor", sa.Text),
    sa.Column("created_at", Moment),
)

sign_ins = sa.Table(
    "sign_ins",
    tables,
    sa.Column("handle_hash", sa.Text, primary_key=True),  # SHA-256; the handle itself is in that browser alone
    sa.Column("login_hash", sa.Text, unique=True),
    sa.Column("visitor", sa.Text),
    sa.Column("name", sa.Text),
    sa.Column("joined", sa.Text),  # the visitor that this browser was before, who is nobody's id from then on
    sa.Column("expires_at", Moment),
    sa.Column("ended_at", Moment),
)

trials = sa.Table(
    "trials",
    tables,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("visitor", sa.Text),
    sa.Column("account_id", sa.Text),
    sa.Column("account_kind", sa.Text),
    sa.Column("invitation", sa.Text),
    sa.Column("created_at", Moment),
    sa.Column("state", sa.Text),
    sa.Column("spec", sa.JSON),
    sa.Column("sealed", sa.Text),  # the very text that the seal is the hash of
    sa.Column("seal", sa.Text),
    sa.Column("sealed_at", Moment),
    sa.Column("opened_at", Moment),
    sa.Column("closes_at", Moment),
    sa.Column("closed_at", Moment),
    sa.Column("looked_at", Moment),
    sa.Column("withdrawn", sa.JSON),
    sa.Column("code_hash", sa.Text, unique=True),
    sa.Column("owner", sa.Text),  # the replica that makes it
)

trial_pictures = sa.Table(
    "trial_pictures",
    tables,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("trial_id", sa.Text),
    sa.Column("case_number", sa.Integer),
    sa.Column("variant_id", sa.Text),
    sa.Column("number", sa.Integer),
    sa.Column("path", sa.Text),
    sa.Column("sha256", sa.Text),
    sa.Column("run_id", sa.Text),
)

judges = sa.Table(
    "judges",
    tables,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("trial_id", sa.Text),
    sa.Column("number", sa.Integer),
    sa.Column("name", sa.Text),
    sa.Column("named", sa.Boolean),
    sa.Column("token_hash", sa.Text, unique=True),
    sa.Column("joined_at", Moment),
    sa.Column("removed_at", Moment),
)

ballots = sa.Table(
    "ballots",
    tables,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("trial_id", sa.Text),
    sa.Column("judge_id", sa.Text),
    sa.Column("position", sa.Integer),
    sa.Column("case_number", sa.Integer),
    sa.Column("take", sa.Integer),
    sa.Column("places", sa.JSON),
    sa.Column("again", sa.Boolean),
    sa.Column("turn", sa.Integer),
    # The vote; all null until there is one.
    sa.Column("voted_at", Moment),
    sa.Column("best", sa.Text),
    sa.Column("worst", sa.Text),
    sa.Column("usable", sa.JSON(none_as_null=True)),
    sa.Column("remark", sa.Text),
)

replicas = sa.Table(
    "replicas",  # the running copies of the app on this ledger, where there may be several
    tables,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("until", Moment),
)

places = sa.Table(
    "places",  # at the service, of an account, that a replica holds
    tables,
    sa.Column("account_id", sa.Text, primary_key=True),
    sa.Column("replica", sa.Text, primary_key=True),
    sa.Column("wanted", sa.Integer),
    sa.Column("held", sa.Integer),
    sa.Column("turn", sa.Integer),
    sa.Column("most", sa.Float),
)

# Step n brings version n to version n + 1; a new ledger goes through all of them, so there is one way to the tables
# above. A step that has shipped is never changed. Types are named as PostgreSQL names them; SQLite's files have simpler
# ones (see `engines.py`).
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE runs (
            id TEXT PRIMARY KEY, visitor TEXT NOT NULL, account_id TEXT NOT NULL, account_kind TEXT NOT NULL,
            created_at TEXT NOT NULL, variant_id TEXT NOT NULL, preset TEXT, prompt TEXT NOT NULL,
            parameters JSON NOT NULL, seed INTEGER, pictures INTEGER NOT NULL, refs JSON NOT NULL,
            estimate BIGINT NOT NULL, state TEXT NOT NULL, finished_at TEXT, troubles JSON NOT NULL
        )""",
        """CREATE TABLE predictions (
            run_id TEXT NOT NULL REFERENCES runs (id), number INTEGER NOT NULL, model_id TEXT NOT NULL,
            payload JSON NOT NULL, status TEXT NOT NULL, prediction_id TEXT, error TEXT NOT NULL, submitting_at TEXT,
            submitted_at TEXT, settled_at TEXT, reserved BIGINT NOT NULL, charge BIGINT, source TEXT NOT NULL,
            model_seconds DOUBLE PRECISION, outputs JSON NOT NULL, troubles JSON NOT NULL, answer JSON,
            PRIMARY KEY (run_id, number)
        )""",
        "CREATE INDEX runs_of_visitor ON runs (visitor, created_at)",
        "CREATE INDEX runs_by_time ON runs (created_at)",
        "CREATE INDEX predictions_by_id ON predictions (prediction_id)",
    ),
    (
        # A reference whose upload is gone may be uploaded and submitted once more: a second attempt, a row of its own.
        """CREATE TABLE attempts (
            run_id TEXT NOT NULL REFERENCES runs (id), number INTEGER NOT NULL, attempt INTEGER NOT NULL,
            model_id TEXT NOT NULL, payload JSON NOT NULL, status TEXT NOT NULL, prediction_id TEXT,
            error TEXT NOT NULL, submitting_at TEXT, submitted_at TEXT, settled_at TEXT, reserved BIGINT NOT NULL,
            charge BIGINT, source TEXT NOT NULL, model_seconds DOUBLE PRECISION, outputs JSON NOT NULL,
            troubles JSON NOT NULL, answer JSON, PRIMARY KEY (run_id, number, attempt)
        )""",
        """INSERT INTO attempts SELECT run_id, number, 1, model_id, payload, status, prediction_id, error,
            submitting_at, submitted_at, settled_at, reserved, charge, source, model_seconds, outputs, troubles, answer
            FROM predictions""",
        "DROP TABLE predictions",
        "ALTER TABLE attempts RENAME TO predictions",
        "CREATE INDEX predictions_by_id ON predictions (prediction_id)",
        """CREATE TABLE uploads (
            account_id TEXT NOT NULL, sha256 TEXT NOT NULL, url TEXT NOT NULL, uploaded_at TEXT NOT NULL,
            PRIMARY KEY (account_id, sha256)
        )""",
        # A deleted run keeps its row: what it cost still counts.
        "ALTER TABLE runs ADD COLUMN deleted_at TEXT",
    ),
    (
        "ALTER TABLE runs ADD COLUMN name TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE runs ADD COLUMN favourite BOOLEAN NOT NULL DEFAULT FALSE",
    ),
    (
        "ALTER TABLE runs ADD COLUMN comparison_id TEXT",
        "ALTER TABLE runs ADD COLUMN cell JSON",
        "CREATE INDEX runs_of_comparison ON runs (comparison_id) WHERE comparison_id IS NOT NULL",
    ),
    (
        """CREATE TABLE invitations (
            id TEXT PRIMARY KEY, code_hash TEXT NOT NULL UNIQUE, name TEXT NOT NULL, allowance BIGINT NOT NULL,
            renews TEXT NOT NULL, created_at TEXT NOT NULL, expires_at TEXT, paused BOOLEAN NOT NULL, ended_at TEXT
        )""",
        "ALTER TABLE runs ADD COLUMN invitation TEXT",
        "CREATE INDEX runs_of_invitation ON runs (invitation, created_at) WHERE invitation IS NOT NULL",
    ),
    (
        """CREATE TABLE trials (
            id TEXT PRIMARY KEY, visitor TEXT NOT NULL, account_id TEXT NOT NULL, account_kind TEXT NOT NULL,
            invitation TEXT, created_at TEXT NOT NULL, state TEXT NOT NULL, spec JSON NOT NULL, sealed TEXT, seal TEXT,
            sealed_at TEXT, opened_at TEXT, closes_at TEXT, closed_at TEXT, looked_at TEXT, withdrawn JSON NOT NULL,
            code_hash TEXT UNIQUE
        )""",
        "CREATE INDEX trials_of_visitor ON trials (visitor, created_at)",
        """CREATE TABLE trial_pictures (
            id TEXT PRIMARY KEY, trial_id TEXT NOT NULL REFERENCES trials (id), case_number INTEGER NOT NULL,
            variant_id TEXT, number INTEGER NOT NULL, path TEXT NOT NULL, sha256 TEXT NOT NULL, run_id TEXT
        )""",
        "CREATE INDEX pictures_of_trial ON trial_pictures (trial_id, case_number)",
        """CREATE TABLE judges (
            id TEXT PRIMARY KEY, trial_id TEXT NOT NULL REFERENCES trials (id), number INTEGER NOT NULL,
            name TEXT NOT NULL, named BOOLEAN NOT NULL, token_hash TEXT NOT NULL UNIQUE, joined_at TEXT NOT NULL,
            UNIQUE (trial_id, number)
        )""",
        """CREATE TABLE ballots (
            id TEXT PRIMARY KEY, trial_id TEXT NOT NULL REFERENCES trials (id),
            judge_id TEXT NOT NULL REFERENCES judges (id), position INTEGER NOT NULL, case_number INTEGER NOT NULL,
            take INTEGER NOT NULL, places JSON NOT NULL, again BOOLEAN NOT NULL, voted_at TEXT, best TEXT, worst TEXT,
            usable JSON, remark TEXT, UNIQUE (judge_id, position)
        )""",
        "CREATE INDEX ballots_of_trial ON ballots (trial_id)",
    ),
    (
        "ALTER TABLE runs ADD COLUMN letter INTEGER",
        "ALTER TABLE runs ADD COLUMN chosen BOOLEAN NOT NULL DEFAULT FALSE",
    ),
    ("CREATE TABLE switches (name TEXT PRIMARY KEY, since TEXT NOT NULL)",),
    (
        "ALTER TABLE judges ADD COLUMN removed_at TEXT",
        "ALTER TABLE ballots ADD COLUMN turn INTEGER NOT NULL DEFAULT 0",
    ),
    ("CREATE TABLE leaving (visitor TEXT PRIMARY KEY, asked_at TEXT NOT NULL)",),
    (
        # No prediction is paid for twice. A run that was recovered by an id has reserved nothing: it may be another's.
        """UPDATE predictions SET prediction_id = prediction_id || ' ' || run_id WHERE reserved > 0 AND EXISTS (
            SELECT 1 FROM predictions AS other WHERE other.prediction_id = predictions.prediction_id
            AND other.reserved > 0 AND (other.run_id, other.number, other.attempt)
            < (predictions.run_id, predictions.number, predictions.attempt))""",
        "CREATE UNIQUE INDEX predictions_paid_once ON predictions (prediction_id) WHERE reserved > 0",
    ),
    (
        "CREATE TABLE people (subject_hash TEXT PRIMARY KEY, visitor TEXT NOT NULL UNIQUE, created_at TEXT NOT NULL)",
        """CREATE TABLE sign_ins (
            handle_hash TEXT PRIMARY KEY, login_hash TEXT NOT NULL UNIQUE, visitor TEXT NOT NULL, name TEXT NOT NULL,
            joined TEXT, expires_at TEXT NOT NULL, ended_at TEXT
        )""",
        "CREATE INDEX sign_ins_by_joined ON sign_ins (joined) WHERE joined IS NOT NULL",
    ),
    (
        "ALTER TABLE predictions ADD COLUMN callback TEXT",
        "ALTER TABLE predictions ADD COLUMN told TEXT",
        "ALTER TABLE predictions ADD COLUMN calls INTEGER NOT NULL DEFAULT 0",
        "CREATE UNIQUE INDEX predictions_by_callback ON predictions (callback) WHERE callback IS NOT NULL",
        "CREATE INDEX predictions_called ON predictions (settled_at) WHERE callback IS NOT NULL",
        "CREATE INDEX predictions_told ON predictions (run_id) WHERE told IS NOT NULL AND prediction_id IS NULL",
    ),
    (
        "ALTER TABLE runs ADD COLUMN owner TEXT",
        "ALTER TABLE runs ADD COLUMN fence INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE trials ADD COLUMN owner TEXT",
        "CREATE TABLE replicas (id TEXT PRIMARY KEY, until TEXT NOT NULL)",
        "CREATE INDEX runs_of_replica ON runs (owner) WHERE owner IS NOT NULL",
        "CREATE INDEX runs_open ON runs (account_id) WHERE finished_at IS NULL",
    ),
    ("ALTER TABLE runs ADD COLUMN stopping BOOLEAN NOT NULL DEFAULT FALSE",),
    (
        """CREATE TABLE places (
            account_id TEXT NOT NULL, replica TEXT NOT NULL REFERENCES replicas (id) ON DELETE CASCADE,
            wanted INTEGER NOT NULL, held INTEGER NOT NULL, turn INTEGER NOT NULL, most DOUBLE PRECISION NOT NULL,
            PRIMARY KEY (account_id, replica)
        )""",
        "CREATE INDEX places_of_replica ON places (replica)",
    ),
)

VERSION = len(MIGRATIONS)
OVERWRITING = 3  # the first version in whose time deleted text was overwritten
