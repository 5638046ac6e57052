"""What a stack consists of, and the settings that hold its parts together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from ragwheel.models.packaged import packaged_model
from ragwheel.schemas.errors import ConfigError
from ragwheel.schemas.identity import STAND_IN
from ragwheel.schemas.settings import PREFIX
from ragwheel.stack.home import Home
from ragwheel.stack.processes.loopback import PythonServer

Component = Literal[
    "kafka", "clickhouse", "llm", "intake", "accounts", "grader", "trainer", "server"
]

ALL_COMPONENTS: tuple[Component, ...] = get_args(Component)
#: What a stack is without further words: a server is one torch more in memory.
USUAL_COMPONENTS: tuple[Component, ...] = tuple(each for each in ALL_COMPONENTS if each != "server")

#: They lead every grader_id and stand in every label, so that nobody takes those for an LLM's.
DEMO_GRADER_MODEL = f"{STAND_IN}grader"
DEMO_JUDGE_MODEL = f"{STAND_IN}judge"
#: Opens nothing; the `openai` client insists on a key.
DEMO_API_KEY = "local-demo"
_LLM_VARIABLES = (
    "RAGWHEEL_LLM_BASE_URL",
    "RAGWHEEL_LLM_API_KEY",
    "RAGWHEEL_LLM_MODEL",
    "RAGWHEEL_JUDGE_MODEL",
)
_LLM_ADDRESS = "http://127.0.0.1:{port}/v1"


@dataclass(frozen=True, slots=True)
class DemoLlm:
    """The local stand-in for an LLM (`ragwheel.stack.llm`). It is not one.

    Attributes:
        gold: file of right answers; None grades by word overlap.
        error_rate: share of grades that are wrong on purpose; used with `gold` only.
    """

    gold: Path | None = None
    error_rate: float = 0.05

    def __str__(self) -> str:
        """In words, for whoever starts it."""
        if self.gold is not None:
            return "a stand-in that knows the right answers grades, no LLM"
        return (
            "NO LLM GRADES: a stand-in counts common words. Set RAGWHEEL_LLM_BASE_URL, "
            "RAGWHEEL_LLM_API_KEY, RAGWHEEL_LLM_MODEL and RAGWHEEL_JUDGE_MODEL for one"
        )


@dataclass(frozen=True, slots=True)
class ExternalLlm:
    """The endpoint that the environment names, as it names it."""


def choose_llm(env: Mapping[str, str]) -> DemoLlm | ExternalLlm:
    """A real endpoint when anything is said of one, the stand-in only when nothing is."""
    return ExternalLlm() if any(env.get(name) for name in _LLM_VARIABLES) else DemoLlm()


def require_key(env: Mapping[str, str]) -> None:
    """Refuse an endpoint of which only a part is said: nothing may take its place unsaid.

    Raises:
        ConfigError: there is no key.
    """
    if env.get("RAGWHEEL_LLM_API_KEY"):
        return
    said = [name for name in _LLM_VARIABLES if env.get(name)]
    raise ConfigError(
        f"{', '.join(said)}: an LLM is configured, and RAGWHEEL_LLM_API_KEY is not. Put its key "
        'there, "none" if it wants none; or unset them all, and a stand-in grades'
    )


def choose_components(*, without: Iterable[str] = (), serve: bool = False) -> tuple[Component, ...]:
    """The usual components but those named.

    Args:
        serve: the server, too.

    Raises:
        ConfigError: a name is none of a component.
    """
    left_out = set(without)
    unknown = sorted(left_out - set(ALL_COMPONENTS))
    if unknown:
        raise ConfigError(f"{unknown[0]!r} is no component; there are {', '.join(ALL_COMPONENTS)}")
    wanted = ALL_COMPONENTS if serve else USUAL_COMPONENTS
    return tuple(name for name in wanted if name not in left_out)


def ragwheel_settings(env: Mapping[str, str]) -> dict[str, str]:
    """The RAGWHEEL_ variables of an environment."""
    return {name: value for name, value in env.items() if name.startswith(PREFIX)}


def local_defaults(home: Home) -> dict[str, str]:
    """Settings of a local stack that differ from production's, overridden by anybody's."""
    model = packaged_model()
    return {
        # No download, and the same model everywhere.
        **({"RAGWHEEL_BASE_MODEL": str(model)} if model else {}),
        # A killed worker's partitions should move on while a person watches.
        "RAGWHEEL_SESSION_TIMEOUT_S": "10",
        "RAGWHEEL_MODEL_DIR": str(home.model_dir),
        "RAGWHEEL_VECTOR_CACHE_DIR": str(home.vector_cache_dir),
        "RAGWHEEL_SERVING_DIR": str(home.serving_dir),
    }


def demo_llm(home: Home, options: DemoLlm) -> PythonServer:
    """The stand-in for an LLM as a server; its settings point the grader at it."""
    gold = [] if options.gold is None else ["--gold", str(options.gold.absolute())]
    return PythonServer(
        "llm",
        "ragwheel.stack.llm",
        ["--error-rate", str(options.error_rate), *gold],
        log_path=home.log_path("llm"),
        port_file=home.port_note("llm"),
        address=_LLM_ADDRESS,
        variables={
            "RAGWHEEL_LLM_BASE_URL": _LLM_ADDRESS,
            "RAGWHEEL_LLM_API_KEY": DEMO_API_KEY,
            "RAGWHEEL_LLM_MODEL": DEMO_GRADER_MODEL,
            "RAGWHEEL_JUDGE_MODEL": DEMO_JUDGE_MODEL,
        },
    )
