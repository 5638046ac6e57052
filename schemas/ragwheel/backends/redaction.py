"""Redaction: rules and a function of the operator's own that change texts before they go on.

The client uses it before an event leaves a service, intake before anything is stored. Names that
join events (ids, hashes, segments, stages, times) and numbers of the schema stay as they are;
everything else passes, whatever a service added and at any depth. docs/privacy.md is the manual.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from ragwheel.schemas import identity
from ragwheel.schemas.errors import ConfigError
from ragwheel.schemas.settings import RedactionSettings

#: Fields of service events that pass as they are: words that join and group, and numbers.
WORDS = frozenset(
    {
        "event", "event_id", "query_id", "chunk_id", "service", "segment", "stage", "retriever",
        "embedding_model", "index", "index_version", "document_fingerprint", "model_id",
        "prompt", "kind",
    }
)  # fmt: skip
NUMBERS = frozenset(
    {
        "schema_version", "k", "latency_ms", "rank", "score", "in_context", "value", "deleted",
        "complete", "chunks", "max_seq_length",
    }
)  # fmt: skip
#: The rules that ragwheel ships, by the name that the setting takes.
SHIPPED = "common"
#: What stands where a text was redacted to nothing: the schema has no empty texts.
NOTHING = "[redacted]"
_HASH = re.compile(r"[0-9a-f]{32}")
_TIME = re.compile(r"[\d:T.-]+(?:Z|[+-]\d\d:?\d\d)")
_RULE_KEYS = {"pattern", "replacement", "contains", "ignore_case"}

TextFunction = Callable[[str], str]


class RedactionError(Exception):
    """A text could not be redacted. Never says the text: what is logged must not hold it either."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One named rule: where `pattern` matches stands `replacement` (with `\\1` for a group).

    Attributes:
        contains: a text without this is passed over, which is quicker than the pattern.
    """

    name: str
    pattern: re.Pattern[str]
    replacement: str
    contains: str = ""


@dataclass(frozen=True, slots=True)
class Redactor:
    """Applies rules in their order, then the function. Thread-safe as far as the function is."""

    rules: Sequence[Rule] = ()
    function: TextFunction | None = None

    def text(self, text: str) -> str:
        """The text as it may go on.

        Raises:
            RedactionError: the function failed, or returned no str.
        """
        if not text:
            return text
        for rule in self.rules:
            if rule.contains in text:
                text = rule.pattern.sub(rule.replacement, text)
        if self.function is not None:
            try:
                text = self.function(text)
            except Exception as error:  # noqa: BLE001 - any code of the operator's
                raise RedactionError(f"the function raised {type(error).__name__}") from None
            if not isinstance(text, str):
                raise RedactionError(f"the function returned a {type(text).__name__}, not a str")
        return text or NOTHING

    def event(self, fields: dict[str, Any]) -> dict[str, Any]:
        """An event, or a candidate of one, as JSON has it. Hashes follow the texts they name.

        Raises:
            RedactionError: see `text`.
        """
        made = {name: self._field(name, value) for name, value in fields.items()}
        if "content_hash" in made and isinstance(made.get("text"), str):
            made["content_hash"] = identity.content_hash(made["text"])
        return made

    def json(self, value: bytes) -> bytes | None:
        """The same from bytes to bytes; None where they are no JSON object.

        Raises:
            RedactionError: see `text`; or what came out cannot be written.
        """
        try:
            fields = orjson.loads(value)
        except orjson.JSONDecodeError:
            return None
        if not isinstance(fields, dict):
            return None
        try:
            return orjson.dumps(self.event(fields))
        except (TypeError, RecursionError) as error:
            raise RedactionError(f"{type(error).__name__}: nested too deep") from None

    def _field(self, name: str, value: Any) -> Any:
        if name == "candidates" and isinstance(value, list):
            return [
                self.event(each) if isinstance(each, dict) else self._free(each) for each in value
            ]
        return value if _stays(name, value) else self._free(value)

    def _free(self, value: Any) -> Any:
        """Anything that a service added: keys of objects and numbers are texts, too."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self._free(key): self._free(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._free(inner) for inner in value]
        if isinstance(value, int | float) and not isinstance(value, bool):
            shown = str(value)
            redacted = self.text(shown)
            return value if redacted == shown else redacted
        return value


def _stays(name: str, value: Any) -> bool:
    """Whether a field passes as it is; what the schema would refuse there is a text like others."""
    if name in WORDS:
        return isinstance(value, str | int)
    if name in NUMBERS:
        return isinstance(value, int | float)
    if not isinstance(value, str):
        return False
    if name == "content_hash":
        return _HASH.fullmatch(value) is not None
    return name == "ts" and _TIME.fullmatch(value) is not None


def load_redactor(settings: RedactionSettings) -> Redactor | None:
    """What the settings ask for; None if nothing, so that nothing is paid for.

    Raises:
        ConfigError: a rule cannot be used, or the function cannot be found; names it and the fix.
    """
    if not settings.redact_rules and not settings.redact_function:
        return None
    rules = read_rules(settings.redact_rules) if settings.redact_rules else ()
    function = _function(settings.redact_function) if settings.redact_function else None
    return Redactor(rules, function)


def read_rules(where: str) -> tuple[Rule, ...]:
    """The rules of a TOML file, or of the one that is shipped, in their order.

    Raises:
        ConfigError: see `load_redactor`.
    """
    # Not at the top: every service imports this module, and few have rules.
    import tomllib
    from importlib.resources import files

    file = files(__package__) / f"{SHIPPED}.toml" if where == SHIPPED else Path(where)
    at = f"RAGWHEEL_REDACT_RULES: {where}"
    try:
        found = tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(
            f"{at}: {error.strerror}; a TOML file is needed, or {SHIPPED!r} for the shipped rules"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{at} is not TOML: {error}") from None
    if not found:
        raise ConfigError(f"{at} has no rule; a rule is a table with `pattern` and `replacement`")
    return tuple(_rule(f"{at}: rule {name!r}", name, given) for name, given in found.items())


def _rule(at: str, name: str, given: Any) -> Rule:
    if not isinstance(given, dict) or not {"pattern", "replacement"} <= given.keys() <= _RULE_KEYS:
        raise ConfigError(
            f"{at}: a table with `pattern`, `replacement` and perhaps `contains` and `ignore_case` "
            "is needed"
        )
    pattern, replacement = given["pattern"], given["replacement"]
    contains = given.get("contains", "")
    ignore_case = given.get("ignore_case", False)
    if not all(isinstance(each, str) for each in (pattern, replacement, contains)):
        raise ConfigError(f"{at}: `pattern`, `replacement` and `contains` must be strings")
    if not isinstance(ignore_case, bool):
        raise ConfigError(f"{at}: `ignore_case` must be true or false")
    try:
        compiled = re.compile(pattern, re.IGNORECASE if ignore_case else 0)
    except re.error as error:
        raise ConfigError(f"{at}: `pattern` is no regular expression: {error}") from None
    if compiled.match("") is not None:
        raise ConfigError(f"{at}: `pattern` matches the empty text, hence everywhere")
    try:
        compiled.sub(replacement, "")
    except (re.error, IndexError) as error:
        raise ConfigError(f"{at}: `replacement` cannot be used: {error}") from None
    return Rule(name, compiled, replacement, contains)


def _function(dotted: str) -> TextFunction:
    at = f"RAGWHEEL_REDACT_FUNCTION: {dotted!r}"
    module, colon, name = dotted.partition(":")
    if not (module and colon and name):
        raise ConfigError(f"{at}: module:function is needed, e.g. 'shop.privacy:redact'")
    try:
        found: Any = importlib.import_module(module)
    except Exception as error:  # noqa: BLE001 - any code of the operator's
        raise ConfigError(
            f"{at}: {module} cannot be imported ({type(error).__name__}: {error}); "
            "install it where this process runs"
        ) from None
    for part in name.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise ConfigError(f"{at}: {module} has no function {name}")
    function: TextFunction = found
    return function
