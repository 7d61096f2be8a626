"""The environment: every variable, its default, and what is refused."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import SettingsError
from core.settings import SERVICE, SIGN_IN_NEEDS, VARIABLES, Settings, read

HOME = Path("/srv/studio")
KEY = "wsk_planted_secret_4711"


def settings(**environment: str) -> Settings:
    return read(environment, HOME, "linux")


def refused(**environment: str) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        settings(**environment)
    return caught.value


def test_an_empty_environment_is_a_free_and_local_app() -> None:
    """No key, no caps, the service's own address, data beside app.py."""
    assert settings() == Settings(
        api_key=None,
        base_url="https://api.wavespeed.ai",
        data_dir=HOME / "data",
        hosted=False,
        daily_budget=None,
        visitor_budget=None,
        at_once=256,
        sandbox_seconds=2.0,
        server_name="127.0.0.1",
        share=False,
        allowed_hosts=frozenset(),
        access="open",
    )


def test_a_space_is_hosted_and_capped() -> None:
    """SPACE_ID alone brings both caps, an end to what is kept, and a limit to the disk; each can be taken away."""
    on_spaces = settings(SPACE_ID="someone/kontext-studio")
    assert on_spaces.hosted
    assert (on_spaces.daily_budget, on_spaces.visitor_budget) == (Decimal("1.00"), Decimal("0.20"))
    assert (on_spaces.keep, on_spaces.max_storage) == (timedelta(days=7), 5 * 10**9)
    endless = settings(SPACE_ID="someone/kontext-studio", KONTEXT_KEEP_DAYS="off", KONTEXT_MAX_STORAGE_GB="off")
    assert (endless.keep, endless.max_storage) == (None, None)


@pytest.mark.parametrize("access", ["invited", "closed"])
def test_whoever_invites_is_hosted(access: str) -> None:
    """Guests may come through a proxy that this computer knows nothing of: both caps hold, unless said otherwise."""
    assert settings(KONTEXT_ACCESS=access).hosted and settings(KONTEXT_ACCESS=access).daily_budget == Decimal("1.00")
    assert not settings(KONTEXT_ACCESS=access, KONTEXT_HOSTED="off").hosted


SPACE = dict.fromkeys(SIGN_IN_NEEDS, "x") | {"SYSTEM": "spaces", "SPACE_HOST": "Own.example.com, a.hf.space"}


@pytest.mark.parametrize("missing", SIGN_IN_NEEDS)
def test_people_sign_in_where_that_is_real(missing: str) -> None:
    """Only where it is asked for, and all is there that a Space with OAuth has; else it is known what is missing."""
    asked = settings(**SPACE, KONTEXT_SIGN_IN="on")
    assert (asked.sign_in, asked.sign_in_lacks, asked.space_hosts) == (True, (), ("own.example.com", "a.hf.space"))
    assert not settings(**SPACE).sign_in
    for less in (SPACE | {missing: ""}, SPACE | ({"SYSTEM": "linux"} if missing == "SYSTEM" else {missing: " "})):
        without = settings(**less, KONTEXT_SIGN_IN="on")
        assert (without.sign_in, without.sign_in_lacks) == (False, (missing,))


def test_everything_can_be_set() -> None:
    """Each variable reaches its field, blanks around it left out."""
    assert settings(
        WAVESPEED_API_KEY=f"  {KEY}\n",
        WAVESPEED_BASE_URL=" http://127.0.0.1:8787/ ",
        KONTEXT_DATA_DIR=" /data/kontext ",
        KONTEXT_DATABASE_URL=" postgres://ann:secret@db/studio ",
        KONTEXT_HOSTED=" yes ",
        KONTEXT_DAILY_BUDGET_USD=" 5 ",
        KONTEXT_VISITOR_BUDGET_USD="0.5",
        KONTEXT_AT_ONCE="2",
        KONTEXT_SANDBOX_SECONDS="0.25",
        KONTEXT_OPEN=" on ",
        GRADIO_SERVER_NAME=" 0.0.0.0 ",
        GRADIO_SHARE="True",
        KONTEXT_ALLOWED_HOSTS=" Studio.example.com, other.example.com ,",
        KONTEXT_KEEP_DAYS=" 30 ",
        KONTEXT_MAX_STORAGE_GB="0.5",
        KONTEXT_SIGNED_IN_BUDGET_USD="0.75",
    ) == Settings(
        api_key=KEY,
        base_url="http://127.0.0.1:8787",
        data_dir=Path("/data/kontext"),
        database_url="postgresql+psycopg://ann:secret@db/studio",
        hosted=True,
        daily_budget=Decimal(5),
        visitor_budget=Decimal("0.5"),
        at_once=2,
        sandbox_seconds=0.25,
        server_name="0.0.0.0",
        share=True,
        allowed_hosts=frozenset({"studio.example.com", "other.example.com"}),
        keep=timedelta(days=30),
        max_storage=500_000_000,
        signed_in_budget=Decimal("0.75"),
    )


@pytest.mark.parametrize("blank", ["", " ", "\t\n"])
def test_a_blank_variable_is_not_set(blank: str) -> None:
    """What is left empty in a form of secrets counts as absent, SPACE_ID included."""
    names = [variable.name for variable in VARIABLES] + ["SPACE_ID"]
    assert read(dict.fromkeys(names, blank), HOME) == settings()


@pytest.mark.parametrize(
    ("said", "hosted"),
    [
        ("1", True),
        ("true", True),
        ("YES", True),
        ("On", True),
        ("0", False),
        ("False", False),
        ("no", False),
        ("off", False),
    ],
)
def test_hosted_can_be_said_in_several_words(said: str, hosted: bool) -> None:
    """The switch wins over SPACE_ID, in both directions."""
    assert settings(KONTEXT_HOSTED=said).hosted is hosted
    assert settings(KONTEXT_HOSTED=said, SPACE_ID="a/b").hosted is hosted


@pytest.mark.parametrize(
    "environment",
    [
        {"GRADIO_SHARE": "True"},
        {"GRADIO_SERVER_NAME": "0.0.0.0"},
        {"GRADIO_SERVER_NAME": "::"},
        {"GRADIO_SERVER_NAME": "192.168.1.20"},
        {"GRADIO_SERVER_NAME": "studio.lan"},
    ],
    ids=lambda environment: "=".join(*environment.items()),
)
def test_whoever_listens_beyond_this_computer_is_hosted(environment: dict[str, str]) -> None:
    """A share link or an open port lets strangers in, so both caps hold; only the switch says otherwise."""
    open_to_others = settings(**environment)
    assert open_to_others.hosted
    assert (open_to_others.daily_budget, open_to_others.visitor_budget) == (Decimal("1.00"), Decimal("0.20"))
    at_home = settings(**environment, KONTEXT_HOSTED="off")
    assert not at_home.hosted and at_home.daily_budget is None


@pytest.mark.parametrize("name", ["127.0.0.1", "127.8.8.8", "localhost", "LOCALHOST", "::1", "[::1]"])
def test_whoever_listens_to_this_computer_alone_is_not(name: str) -> None:
    """Every way to write this very computer leaves the app local."""
    assert not settings(GRADIO_SERVER_NAME=name).hosted


@pytest.mark.parametrize(
    ("platform", "environment", "opens"),
    [
        ("darwin", {}, True),
        ("win32", {}, True),
        ("linux", {}, False),
        ("linux", {"DISPLAY": ":0"}, True),
        ("linux", {"WAYLAND_DISPLAY": "wayland-0"}, True),
        ("darwin", {"CI": "true"}, False),
        ("darwin", {"SSH_CONNECTION": "10.0.0.2 50000 10.0.0.3 22"}, False),
        ("linux", {"DISPLAY": ":10", "SSH_TTY": "/dev/pts/1"}, False),
        ("darwin", {"KONTEXT_OPEN": "off"}, False),
        ("linux", {"KONTEXT_OPEN": "on"}, True),
        ("darwin", {"KONTEXT_OPEN": "on", "KONTEXT_HOSTED": "on"}, False),
        ("darwin", {"GRADIO_SHARE": "on"}, False),
    ],
)
def test_the_browser_opens_where_somebody_sits(platform: str, environment: dict[str, str], opens: bool) -> None:
    """At a desktop of one's own, unless it is told not to; never on a copy that is there for others."""
    assert read(environment, HOME, platform).open_browser is opens


@pytest.mark.parametrize("given", ["https://a.example.com", "a.example.com:443", "a b", "a.example.com/x", "*", KEY])
def test_an_allowed_host_is_a_name_and_nothing_else(given: str) -> None:
    """What could never match a Host header is refused at the start."""
    assert refused(KONTEXT_ALLOWED_HOSTS=given).variable == "KONTEXT_ALLOWED_HOSTS"


@pytest.mark.parametrize("name", ["daily", "visitor"])
def test_a_cap_can_be_set_anywhere(name: str) -> None:
    """A local cap holds, a hosted one replaces the default, and zero means that nothing may be spent."""
    variable, field = f"KONTEXT_{name.upper()}_BUDGET_USD", f"{name}_budget"
    assert getattr(settings(**{variable: "0.30"}), field) == Decimal("0.30")
    assert getattr(settings(**{variable: "0.30", "KONTEXT_HOSTED": "1"}), field) == Decimal("0.30")
    assert getattr(settings(**{variable: "0", "KONTEXT_HOSTED": "1"}), field) == 0


def test_money_is_exact() -> None:
    """An amount never goes through a float."""
    assert str(settings(KONTEXT_DAILY_BUDGET_USD="0.10").daily_budget) == "0.10"


def test_the_home_folder_may_be_written_short() -> None:
    """A tilde is the home folder, as it would be in a shell."""
    assert settings(KONTEXT_DATA_DIR="~/kontext").data_dir == Path.home() / "kontext"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (SERVICE, SERVICE),
        ("https://api.example.com/", "https://api.example.com"),
        ("https://api.example.com//", "https://api.example.com"),
        ("HTTPS://api.example.com", "https://api.example.com"),
        ("http://localhost:8787", "http://localhost:8787"),
        ("http://[::1]:8787", "http://[::1]:8787"),
        ("https://api.example.com?", "https://api.example.com"),
    ],
)
def test_a_host_is_kept_without_what_follows(given: str, kept: str) -> None:
    """So that /api/v3 can be put behind it."""
    assert settings(WAVESPEED_BASE_URL=given).base_url == kept


@pytest.mark.parametrize(
    "given",
    [
        "api.example.com",
        "localhost:8787",
        "ftp://api.example.com",
        "file:///etc/passwd",
        "https://",
        "https://:8787",
        "https://api example.com",
        "https://user@api.example.com",
        "https://user:pass@api.example.com",
        "https://:pass@api.example.com",
        "https://api.example.com:port",
        "https://api.example.com:99999",
        "https://[::1",
        "https://api.example.com/api/v3",
        "https://api.example.com/api/v3/",
        "https://api.example.com?key=1",
        "https://api.example.com#top",
    ],
)
def test_anything_but_a_host_is_refused(given: str) -> None:
    """A scheme we speak, a host, perhaps a port: nothing else, and no password in it."""
    error = refused(WAVESPEED_BASE_URL=given)
    assert error.variable == "WAVESPEED_BASE_URL"


@pytest.mark.parametrize(
    "variable",
    ["KONTEXT_DAILY_BUDGET_USD", "KONTEXT_SIGNED_IN_BUDGET_USD", "KONTEXT_AT_ONCE", "KONTEXT_SANDBOX_SECONDS"],
)
@pytest.mark.parametrize("given", ["-1", "-0.01", "nan", "sNaN", "inf", "-Infinity", "$1", "1,50", "one", "1e", KEY])
def test_a_number_must_be_one(variable: str, given: str) -> None:
    """A cap that can't be read must not become no cap."""
    error = refused(**{variable: given})
    assert error.variable == variable
    assert str(error).startswith(f"{variable} must be a number")
    assert given not in str(error)


@pytest.mark.parametrize("given", ["0", "0.5", "2.5", "1001", "1e999999"])
def test_a_count_must_be_a_whole_number(given: str) -> None:
    """None at all would keep every run waiting for ever."""
    error = refused(KONTEXT_AT_ONCE=given)
    assert str(error) == "KONTEXT_AT_ONCE must be a whole number from 1 to 1000."


@pytest.mark.parametrize("name", ["KONTEXT_KEEP_DAYS", "KONTEXT_MAX_STORAGE_GB"])
@pytest.mark.parametrize("given", ["0", "-1", "for ever", "nan"])
def test_no_end_is_said_in_one_way(name: str, given: str) -> None:
    """Zero is not taken for "never": whoever wants to keep nothing must not keep everything."""
    assert refused(**{name: given}).variable == name


@pytest.mark.parametrize("given", ["maybe", "2", "-1", "tru", KEY])
def test_a_switch_must_be_on_or_off(given: str) -> None:
    """A word that is neither could open a public app by mistake."""
    error = refused(KONTEXT_HOSTED=given)
    assert str(error) == "KONTEXT_HOSTED must be on or off."


@given(st.text(min_size=6), st.sampled_from([v.name for v in VARIABLES if not v.name.endswith(("KEY", "DIR"))]))
def test_no_value_is_ever_repeated(value: str, variable: str) -> None:
    """Somebody pastes the key into the wrong box: the message names the variable and not what is in it."""
    try:
        read({variable: f"wsk_{value}"}, HOME)
    except SettingsError as error:
        assert error.variable == variable
        assert "wsk_" not in str(error)
        assert error.__cause__ is None
        assert error.__suppress_context__ or error.__context__ is None


def test_the_key_is_kept_out_of_repr() -> None:
    """Settings may be logged; the key may not, nor the password of a database, right or wrong."""
    shown = settings(WAVESPEED_API_KEY=KEY, KONTEXT_DATABASE_URL="postgres://ann:hush@db/studio")
    assert shown.api_key == KEY
    assert not any(secret in repr(shown) + str(shown) for secret in (KEY, "hush"))
    for wrong in ("mysql://ann:hush@db", "hush", "postgresql:hush", "postgresql://"):
        with pytest.raises(SettingsError, match="KONTEXT_DATABASE_URL") as refused:
            settings(KONTEXT_DATABASE_URL=wrong)
        assert "hush" not in str(refused.value)


def test_the_table_names_every_variable() -> None:
    """The README's rows: what is read here, and what Gradio reads for itself."""
    assert [variable.name for variable in VARIABLES] == [
        "WAVESPEED_API_KEY",
        "WAVESPEED_BASE_URL",
        "KONTEXT_DATA_DIR",
        "KONTEXT_DATABASE_URL",
        "KONTEXT_HOSTED",
        "KONTEXT_ALLOWED_HOSTS",
        "KONTEXT_PUBLIC_URL",
        "KONTEXT_DAILY_BUDGET_USD",
        "KONTEXT_VISITOR_BUDGET_USD",
        "KONTEXT_ACCESS",
        "KONTEXT_SIGN_IN",
        "KONTEXT_SIGNED_IN_BUDGET_USD",
        "KONTEXT_PAUSED",
        "KONTEXT_KEEP_DAYS",
        "KONTEXT_MAX_STORAGE_GB",
        "KONTEXT_HOST_PASSCODE",
        "KONTEXT_METRICS_TOKEN",
        "KONTEXT_LOG",
        "KONTEXT_AT_ONCE",
        "KONTEXT_SANDBOX_SECONDS",
        "KONTEXT_OPEN",
        "GRADIO_SERVER_NAME",
        "GRADIO_SERVER_PORT",
        "GRADIO_SHARE",
    ]
    assert all(variable.default and variable.meaning for variable in VARIABLES)


@pytest.mark.parametrize("name", ["daily", "visitor", "signed_in"])
def test_the_tables_defaults_are_the_ones_used(name: str) -> None:
    """What the table says of a hosted app is what a hosted app gets."""
    row = next(row for row in VARIABLES if row.name == f"KONTEXT_{name.upper()}_BUDGET_USD")
    amount = getattr(settings(KONTEXT_HOSTED="1"), f"{name}_budget")
    assert row.default == f"none; {amount} hosted"


def test_a_relative_data_folder_is_made_absolute() -> None:
    """Whatever later changes the working folder, what was paid for stays in one place."""
    folder = read({"KONTEXT_DATA_DIR": "somewhere"}, HOME).data_dir
    assert folder.is_absolute() and folder == Path.cwd() / "somewhere"


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        ({}, None),
        ({"SPACE_HOST": "me-kontext.hf.space", "SPACE_ID": "me/kontext"}, "https://me-kontext.hf.space"),
        ({"SPACE_HOST": "me-kontext.hf.space, a.example"}, "https://me-kontext.hf.space"),
        ({"SPACE_HOST": "me-kontext.hf.space", "KONTEXT_PUBLIC_URL": "Off"}, None),
        ({"SPACE_HOST": "me-kontext.hf.space", "KONTEXT_PUBLIC_URL": "https://a.example"}, "https://a.example"),
        ({"KONTEXT_PUBLIC_URL": "https://a.example:8443/"}, "https://a.example:8443"),
        (
            {"KONTEXT_PUBLIC_URL": "http://127.0.0.1:7860", "WAVESPEED_BASE_URL": "http://localhost:8787"},
            "http://127.0.0.1:7860",
        ),
    ],
)
def test_where_the_service_calls_back(environment: dict[str, str], url: str | None) -> None:
    """A Space knows its own address; what is set goes before, and switches it off."""
    assert settings(**environment).public_url == url


@pytest.mark.parametrize(
    "address", ["http://a.example", "http://127.0.0.1:7860", "a.example", "https://", "https://a.example/studio", "on"]
)
def test_an_address_that_the_service_can_t_call(address: str) -> None:
    """Anything but https, as long as the service is not on this computer too; anything but a host."""
    assert refused(KONTEXT_PUBLIC_URL=address).variable == "KONTEXT_PUBLIC_URL"


def test_a_public_address_makes_a_copy_hosted() -> None:
    """Strangers reach what the service reaches; a copy that is tried out on this computer stays one's own."""
    assert settings(KONTEXT_PUBLIC_URL="https://a.example").hosted
    assert not settings(KONTEXT_PUBLIC_URL="http://[::1]:7860", WAVESPEED_BASE_URL="http://127.0.0.1:8787").hosted
