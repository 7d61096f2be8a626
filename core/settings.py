"""The environment, read once."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from ipaddress import ip_address
from pathlib import Path
from typing import Literal, cast, get_args
from urllib.parse import urlsplit

from core.errors import SettingsError

SERVICE = "https://api.wavespeed.ai"  # (S)
HOSTED_DAILY_BUDGET = Decimal("1.00")
HOSTED_VISITOR_BUDGET = Decimal("0.20")
HOSTED_SIGNED_IN_BUDGET = Decimal("0.40")
HOSTED_KEEP_DAYS = 7  # as long as the service itself keeps what it made (D)
HOSTED_STORAGE_GB = Decimal(5)
GB = 10**9
LOOPBACK = "127.0.0.1"
# A new account has room for 2, a larger one for 300 (D); below that, each refusal for want of room teaches the limit.
AT_ONCE = 256
SHORTEST_SECRET = 20  # characters of what somebody may try to guess

_POSTGRES = ("postgresql+psycopg", "postgresql", "postgres")
# What a Space has in its environment whose card says `hf_oauth: true` (D); anywhere else Gradio's sign-in is a mock.
SIGN_IN_NEEDS = ("SYSTEM", "SPACE_ID", "OAUTH_CLIENT_ID", "OAUTH_CLIENT_SECRET", "OAUTH_SCOPES", "OPENID_PROVIDER_URL")

Access = Literal["open", "invited", "closed"]
Log = Literal["text", "json"]


@dataclass(frozen=True)
class Variable:
    """One environment variable, as the README's table shows it."""

    name: str
    default: str
    meaning: str


VARIABLES = (
    Variable("WAVESPEED_API_KEY", "none: practice mode", "the key that pays for everyone"),
    Variable("WAVESPEED_BASE_URL", SERVICE, "the service's host, without /api/v3"),
    Variable("KONTEXT_DATA_DIR", "data/ beside app.py", "where records and pictures are kept"),
    Variable(
        "KONTEXT_DATABASE_URL",
        "none: a file in that folder",
        "where records are kept instead, such as postgresql://name:password@host/database",
    ),
    Variable(
        "KONTEXT_HOSTED",
        "on where others can reach it: on a Space, by GRADIO_SHARE or GRADIO_SERVER_NAME, or with invitations",
        "strangers can open the page, so budgets hold and nobody is trusted",
    ),
    Variable(
        "KONTEXT_ALLOWED_HOSTS",
        "none; any hosted",
        "host names that the page may be opened under, with commas between; localhost and IP addresses always work",
    ),
    Variable(
        "KONTEXT_PUBLIC_URL",
        "a Space's own; none elsewhere",
        "this copy's https address, at which the service reports finished pictures; off: the app only asks for them",
    ),
    Variable(
        "KONTEXT_DAILY_BUDGET_USD",
        f"none; {HOSTED_DAILY_BUDGET} hosted",
        "the most that all visitors together can spend with that key in a day (UTC)",
    ),
    Variable(
        "KONTEXT_VISITOR_BUDGET_USD",
        f"none; {HOSTED_VISITOR_BUDGET} hosted",
        "the most that one visitor can spend of it",
    ),
    Variable(
        "KONTEXT_ACCESS",
        "open",
        "whom that key pays for: open (everybody), invited (invitations and whoever signs in; practice for the rest), "
        "closed (invitations; nothing for the rest)",
    ),
    Variable(
        "KONTEXT_SIGN_IN", "off", "visitors can sign in with Hugging Face; on a Space with `hf_oauth: true` alone"
    ),
    Variable(
        "KONTEXT_SIGNED_IN_BUDGET_USD",
        f"none; {HOSTED_SIGNED_IN_BUDGET} hosted",
        "the most that one person who is signed in can spend of that key in a day (UTC)",
    ),
    Variable("KONTEXT_PAUSED", "off", "on: that key pays for nothing new; what was sent is seen to its end"),
    Variable(
        "KONTEXT_KEEP_DAYS",
        f"off; {HOSTED_KEEP_DAYS} hosted",
        "days after which runs and trials are forgotten, but for what they cost; off: never",
    ),
    Variable(
        "KONTEXT_MAX_STORAGE_GB",
        f"off; {HOSTED_STORAGE_GB} hosted",
        "the most that the data folder takes; practice runs and unused uploads go first, then no run is started",
    ),
    Variable(
        "KONTEXT_HOST_PASSCODE",
        "none: there is no such page",
        "opens the host's page at /host: what is spent and by whom, invitations, and the pause; at least "
        f"{SHORTEST_SECRET} characters, best a random password",
    ),
    Variable(
        "KONTEXT_METRICS_TOKEN",
        "none: there are no metrics",
        f"lets Prometheus read /metrics, as its bearer token; at least {SHORTEST_SECRET} characters",
    ),
    Variable("KONTEXT_LOG", "text", "json: the log as JSON lines, for programs that collect them"),
    Variable("KONTEXT_AT_ONCE", str(AT_ONCE), "predictions a key can have at the service at once; the rest wait"),
    Variable("KONTEXT_SANDBOX_SECONDS", "2", "seconds that a practice picture takes"),
    Variable(
        "KONTEXT_OPEN",
        "on at a desktop; never hosted, in CI, over SSH or without a display",
        "open the page in the browser at the start",
    ),
    Variable("GRADIO_SERVER_NAME", LOOPBACK, "the address to listen on"),
    Variable("GRADIO_SERVER_PORT", "7860, or the next free one", "the port to listen on"),
    Variable("GRADIO_SHARE", "off", "a public link to this computer, through Gradio's servers"),
)


@dataclass(frozen=True)
class Settings:
    """What the environment asks for. Budgets in USD a UTC day, None: no cap. Secrets are kept out of repr.

    `database_url` holds a password; None: a file in `data_dir`.

    `hosted`: strangers can come in, so nobody is trusted. `access`: whom the key pays for. `allowed_hosts` in small
    letters. `paused`: the key pays for nothing new. `keep`: how long runs are kept, None: for ever. `max_storage` in
    bytes, None: no limit. `sign_in`: people can sign in, which was asked for and is real here; `sign_in_lacks`: what it
    was asked for without. `space_hosts`: the names of the Space, if it is one; to the first of them a login comes back.
    `public_url`: where the service reaches this copy; None: nowhere.
    """

    api_key: str | None = field(repr=False)
    base_url: str
    data_dir: Path
    hosted: bool
    daily_budget: Decimal | None
    visitor_budget: Decimal | None
    at_once: int
    sandbox_seconds: float
    open_browser: bool = False
    server_name: str = LOOPBACK
    share: bool = False
    allowed_hosts: frozenset[str] = frozenset()
    access: Access = "open"
    paused: bool = False
    keep: timedelta | None = None
    max_storage: int | None = None
    database_url: str | None = field(default=None, repr=False)
    sign_in: bool = False
    sign_in_lacks: tuple[str, ...] = ()
    signed_in_budget: Decimal | None = None
    space_hosts: tuple[str, ...] = ()
    host_passcode: str | None = field(default=None, repr=False)
    metrics_token: str | None = field(default=None, repr=False)
    log: Log = "text"
    public_url: str | None = None


def read(environment: Mapping[str, str], home: Path, platform: str = sys.platform) -> Settings:
    """Read the settings; `home` is the folder of app.py. A blank variable counts as not set.

    Raises:
        SettingsError: naming the variable that can't be used.
    """
    given = {name: value.strip() for name, value in environment.items() if value.strip()}
    server_name = given.get("GRADIO_SERVER_NAME", LOOPBACK)
    share = _switch(given, "GRADIO_SHARE", default=False)
    access = cast(Access, _choice(given, "KONTEXT_ACCESS", get_args(Access)))
    base_url = _host(given, "WAVESPEED_BASE_URL", SERVICE)
    public_url = _public_url(given, base_url)
    # Whoever invites has guests, on whatever way they come.
    public = share or not _is_loopback(server_name) or (public_url is not None and not _is_here(public_url))
    reachable = "SPACE_ID" in given or public or access != "open"
    hosted = _switch(given, "KONTEXT_HOSTED", default=reachable)
    sign_in, lacking = _switch(given, "KONTEXT_SIGN_IN", default=False), _lacking(given)
    return Settings(
        api_key=given.get("WAVESPEED_API_KEY"),
        base_url=base_url,
        data_dir=Path(given.get("KONTEXT_DATA_DIR", home / "data")).expanduser().absolute(),
        hosted=hosted,
        daily_budget=_money(given, "KONTEXT_DAILY_BUDGET_USD", HOSTED_DAILY_BUDGET if hosted else None),
        visitor_budget=_money(given, "KONTEXT_VISITOR_BUDGET_USD", HOSTED_VISITOR_BUDGET if hosted else None),
        at_once=_count(given, "KONTEXT_AT_ONCE", AT_ONCE),
        sandbox_seconds=float(_number(given, "KONTEXT_SANDBOX_SECONDS", Decimal(2))),
        open_browser=_switch(given, "KONTEXT_OPEN", default=_at_a_desktop(given, platform)) and not hosted,
        server_name=server_name,
        share=share,
        allowed_hosts=_names(given, "KONTEXT_ALLOWED_HOSTS"),
        access=access,
        paused=_switch(given, "KONTEXT_PAUSED", default=False),
        keep=_days(given, "KONTEXT_KEEP_DAYS", HOSTED_KEEP_DAYS if hosted else None),
        max_storage=_gigabytes(given, "KONTEXT_MAX_STORAGE_GB", HOSTED_STORAGE_GB if hosted else None),
        database_url=_database(given),
        sign_in=sign_in and not lacking,
        sign_in_lacks=lacking if sign_in else (),
        signed_in_budget=_money(given, "KONTEXT_SIGNED_IN_BUDGET_USD", HOSTED_SIGNED_IN_BUDGET if hosted else None),
        space_hosts=tuple(name.strip().lower() for name in given.get("SPACE_HOST", "").split(",") if name.strip()),
        host_passcode=_secret(given, "KONTEXT_HOST_PASSCODE"),
        metrics_token=_secret(given, "KONTEXT_METRICS_TOKEN"),
        log=cast(Log, _choice(given, "KONTEXT_LOG", get_args(Log))),
        public_url=public_url,
    )


def _lacking(given: Mapping[str, str]) -> tuple[str, ...]:
    """What real sign-in needs and is not there."""
    there = {name for name in SIGN_IN_NEEDS if name in given}
    if given.get("SYSTEM") != "spaces":  # by this Gradio tells a Space
        there.discard("SYSTEM")
    return tuple(name for name in SIGN_IN_NEEDS if name not in there)


def _choice(given: Mapping[str, str], name: str, choices: Sequence[str]) -> str:
    """One of these words, the first where nothing is said."""
    asked = given.get(name, choices[0]).lower()
    if asked not in choices:
        raise SettingsError(name, f"must be one of {', '.join(choices)}.")
    return asked


def _at_a_desktop(given: Mapping[str, str], platform: str) -> bool:
    """Whether somebody sits at this very computer and sees what opens."""
    if not given.keys().isdisjoint(("CI", "SSH_CONNECTION", "SSH_TTY")):
        return False
    return platform in ("darwin", "win32") or not given.keys().isdisjoint(("DISPLAY", "WAYLAND_DISPLAY"))


def _is_loopback(name: str) -> bool:
    """Whether only this computer can reach what listens there; a name that is not localhost may be anybody's."""
    try:
        return ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return name.lower() == "localhost"


def _is_here(url: str) -> bool:
    return _is_loopback(urlsplit(url).hostname or "")


def _public_url(given: Mapping[str, str], base_url: str) -> str | None:
    """Where the service reaches this copy: by https, or where both are on this computer."""
    name = "KONTEXT_PUBLIC_URL"
    here = given.get("SPACE_HOST", "").partition(",")[0].strip()
    space = {name: f"https://{here}"} if here else {}
    told = {**space, **given}
    if told.get(name, "off").lower() == "off":
        return None
    url = _host(told, name, "")
    if not url.startswith("https://") and not (_is_here(url) and _is_here(base_url)):
        raise SettingsError(name, "must begin with https://.", "Only a sandbox on this computer reports to http.")
    return url


def _names(given: Mapping[str, str], variable: str) -> frozenset[str]:
    names = frozenset(name.strip().lower() for name in given.get(variable, "").split(",") if name.strip())
    if not all(re.fullmatch(r"[a-z0-9.-]+|\[[0-9a-f:.]+\]", name) for name in names):
        raise SettingsError(variable, "must be names such as studio.example.com, without https:// and without a port.")
    return names


def _switch(given: Mapping[str, str], name: str, default: bool) -> bool:
    value = given.get(name, "").lower()
    if value in ("1", "true", "yes", "on"):
        return True
    if value in ("0", "false", "no", "off"):
        return False
    if not value:
        return default
    raise SettingsError(name, "must be on or off.")


def _secret(given: Mapping[str, str], name: str) -> str | None:
    if name in given and len(given[name]) < SHORTEST_SECRET:
        raise SettingsError(
            name, f"must have at least {SHORTEST_SECRET} characters.", "Let a password manager make one."
        )
    return given.get(name)


def _host(given: Mapping[str, str], name: str, default: str) -> str:
    try:
        parts = urlsplit(given.get(name, default))
        _ = parts.port
    except ValueError:
        raise SettingsError(name, "is not a URL.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"[\s@]", parts.netloc):
        raise SettingsError(name, "must be a host such as https://api.example.com.")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise SettingsError(name, "must be the host only: leave out everything after it.")
    return f"{parts.scheme}://{parts.netloc}"


def _database(given: Mapping[str, str]) -> str | None:
    """Under the one name of the driver, whatever name the database's host gave it."""
    if "KONTEXT_DATABASE_URL" not in given:
        return None
    scheme, _, rest = given["KONTEXT_DATABASE_URL"].partition("://")
    if scheme not in _POSTGRES or not rest:
        raise SettingsError("KONTEXT_DATABASE_URL", "must begin with postgresql:// and name a host.")
    return f"{_POSTGRES[0]}://{rest}"


def _number(given: Mapping[str, str], name: str, default: Decimal) -> Decimal:
    try:
        value = Decimal(given[name]) if name in given else default
    except InvalidOperation:
        raise SettingsError(name, "must be a number.") from None
    if not value.is_finite() or value < 0:
        raise SettingsError(name, "must be a number, zero or more.")
    return value


def _count(given: Mapping[str, str], name: str, default: int) -> int:
    value = _number(given, name, Decimal(default))
    if not 1 <= value <= 1000 or value != int(value):
        raise SettingsError(name, "must be a whole number from 1 to 1000.")
    return int(value)


def _money(given: Mapping[str, str], name: str, default: Decimal | None) -> Decimal | None:
    return _number(given, name, Decimal(0)) if name in given else default


def _days(given: Mapping[str, str], name: str, default: int | None) -> timedelta | None:
    if _is_off(given, name) or (name not in given and default is None):
        return None
    return timedelta(days=_count(given, name, default or 1))


def _gigabytes(given: Mapping[str, str], name: str, default: Decimal | None) -> int | None:
    if _is_off(given, name) or (name not in given and default is None):
        return None
    value = _number(given, name, default or Decimal(1))
    if not 0 < value <= 10**6:
        raise SettingsError(name, "must be more than 0, or off.")
    return int(value * GB)


def _is_off(given: Mapping[str, str], name: str) -> bool:
    return given.get(name, "").lower() == "off"  # no 0: whoever wants nothing kept must not keep all of it
