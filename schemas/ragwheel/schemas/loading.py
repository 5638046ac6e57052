"""Settings as a process finds them: read from the environment once, misspelt names refused."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from pydantic import SecretStr, ValidationError

from ragwheel.schemas.errors import ConfigError
from ragwheel.schemas.kubernetes import is_injected
from ragwheel.schemas.secrets import is_secret
from ragwheel.schemas.settings import PREFIX, PROCESS_SETTINGS, Settings

#: Read by the launcher and the test suite, not by a process of the product.
TOOL_VARIABLES: Mapping[str, str] = {
    "RAGWHEEL_CACHE_DIR": "Where Kafka's jars are kept, instead of the user's cache directory.",
    "RAGWHEEL_CI": "Set in CI: a test that cannot run is an error instead of a skip.",
    "RAGWHEEL_HOME": "Folder of the local stack, instead of `./.ragwheel`.",
    "RAGWHEEL_TEST_CLICKHOUSE_URL": "A real ClickHouse to run the contract tests against.",
    "RAGWHEEL_TEST_DRILL_S": "How long the drill of the test suite lasts, instead of 40 s.",
}

_Settings = TypeVar("_Settings", bound=Settings)


def load(settings: type[_Settings], **overrides: Any) -> _Settings:
    """Read `settings` from the environment; `overrides` win.

    Raises:
        ConfigError: a value is wrong, or a `RAGWHEEL_` variable is known to no process. The message
            names the variable and what it must be.
    """
    known = known_variables()
    for name, value in sorted(os.environ.items()):
        if name.startswith(PREFIX) and name not in known and not is_injected(name, value):
            bare = [variable.removeprefix(PREFIX) for variable in known]
            close = difflib.get_close_matches(name.removeprefix(PREFIX), bare, n=1)
            hint = f"; did you mean {PREFIX}{close[0]}?" if close else "; see docs/settings.md"
            raise ConfigError(f"{name} is not a setting of ragwheel{hint}")
    try:
        return settings(**overrides)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = str(first["loc"][0]) if first["loc"] else "?"
        info = settings.model_fields.get(field)
        shown = "its value" if info and is_secret(info.annotation) else repr(first["input"])
        about = f" ({info.description})" if info and info.description else ""
        raise ConfigError(f"{PREFIX}{field.upper()}: {shown}: {first['msg']}{about}") from None


def known_variables() -> frozenset[str]:
    """Every environment variable that some process reads."""
    return frozenset(name for _, name, _, _ in describe()) | frozenset(TOOL_VARIABLES)


def secret_variables() -> frozenset[str]:
    """Every environment variable that holds a secret, or may."""
    return frozenset(
        PREFIX + field.upper()
        for settings in PROCESS_SETTINGS.values()
        for field, info in settings.model_fields.items()
        if is_secret(info.annotation)
    )


def describe() -> Iterator[tuple[str, str, str, str]]:
    """(process, variable, default, description) of every setting, for the docs."""
    for process, settings in PROCESS_SETTINGS.items():
        for field, info in settings.model_fields.items():
            default = info.get_default(call_default_factory=True)
            hidden = default in (None, {}, SecretStr(""))
            shown = "" if hidden else str(default)
            yield process, PREFIX + field.upper(), shown, info.description or ""
