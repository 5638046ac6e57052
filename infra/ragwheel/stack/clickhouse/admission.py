"""Which statements are run at all: none that reaches files, other servers or programs.

The engine's privileges (`privileges`) refuse most. What has no privilege (the function `file`,
`INTO OUTFILE`, disks and engines that name a path, SQL in strings) is found here, in the syntax
tree that the engine's own parser makes, where no comment, quoting, spelling or second statement
hides anything. The tree counts only if it can be written back to the very statement it was made
from; what cannot be judged is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import orjson

from ragwheel.stack.clickhouse.engine import Engine, EngineError

_ACCESS_DENIED = 497
_SYNTAX_ERROR = 62
_AI_FUNCTIONS = b"SELECT lower(name) FROM system.functions WHERE categories = 'AI'"
#: Brackets that change nothing are not in the tree, so they are left out of the comparison; every
#: name and value still has to be there.
_TREE = rb"""WITH (text -> replaceRegexpAll(formatQuery(text), '[()\\s]+', '')) AS bare
SELECT parseQueryToJSON(q) AS tree, bare(q) = bare(formatQueryFromJSON(tree)) AS whole
FROM (SELECT {} AS q) SETTINGS max_query_size = 0 FORMAT JSONCompactEachRow"""
# These answer with what the engine computes itself. Others take a structure or a text in which SQL
# may stand.
_TABLE_FUNCTIONS = frozenset(
    {"numbers", "numbers_mt", "zeros", "zeros_mt", "generate_series", "generateseries"}
    | {"view", "merge"}
)
_ENGINES: Mapping[str, re.Pattern[str]] = {
    "TABLE_ENGINE": re.compile(r"\w*mergetree|memory|null|join|set|buffer|(tiny|stripe)?log"),
    "DATABASE_ENGINE": re.compile(r"atomic|memory"),
}
#: Keys of the tree that stand for reading or writing a path.
_PATHS = {
    "out_file": "INTO OUTFILE",
    "infile": "FROM INFILE",
    "attach_from_path": "ATTACH … FROM a path",
}
# The parser makes no tree of these. Without brackets, strings and comments they can name a table
# and nothing else.
_PLAIN = re.compile(
    rb"\s*(?:DESC|DESCRIBE|EXISTS|SHOW)\s(?:[\w\s.,=]|`[^`\\]*`|\"[^\"\\]*\")*;?\s*", re.IGNORECASE
)
_OUTFILE = re.compile(rb"OUTFILE", re.IGNORECASE)
_CACHED_BYTES = 16 * 1024


class Admission:
    """Judges statements; those that come again and again once.

    Args:
        engine: whose parser is asked.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        asked = engine.ask(_AI_FUNCTIONS)
        self._functions = frozenset(asked.decode().split()) | {"disk"}
        self._cached: Callable[[bytes], bool] = lru_cache(maxsize=256)(self._examine)

    def check(self, statement: bytes, parameters: Mapping[str, str]) -> None:
        """Refuse a statement that reaches beyond the engine's own tables.

        Args:
            statement: without the data of an insert.
            parameters: values of its placeholders.

        Raises:
            EngineError: it does, it is more than one, or the parser cannot read it.
        """
        examine = self._cached if len(statement) <= _CACHED_BYTES else self._examine
        names_from_outside = examine(statement)
        if names_from_outside:
            for value in parameters.values():
                _refuse_name(value)

    def _examine(self, statement: bytes) -> bool:
        """Raises as `check`; says whether parameters stand for names in it."""
        if _PLAIN.fullmatch(statement) and not _OUTFILE.search(statement):
            return False
        try:
            answer = self._engine.ask(_TREE.replace(b"{}", _quoted(statement)))
            tree, whole = orjson.loads(answer)
            nodes = list(_nodes(orjson.loads(tree)))
        except EngineError as error:
            if error.code == _SYNTAX_ERROR:
                text = error.message.partition(": In scope SELECT")[0]
                raise EngineError(error.code, f"{text}. (SYNTAX_ERROR)") from None
            raise _refusal("it cannot be examined") from None
        except ValueError:
            raise _refusal("it cannot be examined") from None
        if not whole:
            raise _refusal("it cannot be examined in full")
        for node in nodes:
            self._check_node(node)
        return any(node.get("param_type") == "Identifier" for node in nodes)

    def _check_node(self, node: Mapping[str, Any]) -> None:
        for key, value in node.items():
            if key in _PATHS and value:
                raise _refusal(_PATHS[key])
            if key in ("table_function", "as_table_function") and (
                value["name"].lower() not in _TABLE_FUNCTIONS
            ):
                raise _refusal(f"the table function {value['name']}")
            # A function may be meant wherever a name stands: arrayMap(f, …), * APPLY f.
            if isinstance(value, str) and "field_type" not in node:
                _refuse_name(value)
        name = str(node.get("name", "")).lower()
        if node.get("type") == "Function" and name in self._functions:
            raise _refusal(f"the function {node['name']}")
        allowed = _ENGINES.get(str(node.get("kind")))
        if allowed is not None and not allowed.fullmatch(name):
            raise _refusal(f"the engine {node['name']}")


def _refuse_name(text: str) -> None:
    if "file" in text.lower().split("."):
        raise _refusal("the function file (a column or table of this name needs another one)")


def _refusal(what: str) -> EngineError:
    return EngineError.of(
        _ACCESS_DENIED,
        "the embedded ClickHouse runs no statement that may reach files, other servers or "
        f"programs: {what}. A ClickHouse server can, see RAGWHEEL_CLICKHOUSE_URL",
        "ACCESS_DENIED",
    )


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Every object of a tree."""
    waiting = [tree]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            yield item
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)


def _quoted(text: bytes) -> bytes:
    return b"'" + text.replace(b"\\", b"\\\\").replace(b"'", b"\\'") + b"'"
