"""Following what is promoted: another model serves without a restart, or the old one stays.

    named (pointer, topic) → fetched → whole → loaded → warm → canaries → documents → one reference

Every step before the last happens in a thread beside the requests, which read the reference. What
they have read they keep until they are answered: the old generation ends with its last request.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from threading import Event, Lock, Thread
from typing import Self

import orjson
from pydantic import ValidationError

from ragwheel.backends import files
from ragwheel.backends.telemetry import Telemetry
from ragwheel.models.artifacts import ArtifactStore, artifacts_of
from ragwheel.models.canaries import EncodeFew, read_reference
from ragwheel.models.registry import Alias, ModelRegistry
from ragwheel.schemas.errors import RagwheelError, UnavailableError
from ragwheel.schemas.settings import FollowSettings
from ragwheel.serving import gauges
from ragwheel.serving.arrivals import Arrivals, Arrived, RefusedModelError, ServedLast
from ragwheel.serving.contracts import FollowState, InService
from ragwheel.serving.declared import Declarations, DeclaredIndexes
from ragwheel.serving.naming import NamedModel, TopicListener, named_by_alias
from ragwheel.serving.shadowing import ShadowedEncoder, Shadowing, share_of

_LOG = logging.getLogger(__name__)
#: Seconds between two looks at the pointer; the topic is faster.
LOOK_S = 30.0
_LAST_FILE = "served.json"


@dataclass(frozen=True, slots=True)
class _Serving:
    """The one reference: what serves, and beside it a candidate."""

    generation: InService | None = None
    candidate: InService | None = None


class ModelFollower:
    """A `Follower` of the trainer's promotions. Use as a context manager, or `start` and `close`.

        with ModelFollower(settings, telemetry) as follower:
            follower.current().query.encode(["how do I rotate a key?"], "query")

    Guarantees: `current` never blocks and never goes back to nothing; a model that fails any check
    is not served, the one before stays, and metric, log and `state` say why; a process that is
    killed at any moment starts with what the alias names.
    """

    def __init__(
        self,
        settings: FollowSettings,
        telemetry: Telemetry | None = None,
        *,
        declarations: Declarations | None = None,
        listen: bool = True,
        look_s: float = LOOK_S,
    ) -> None:
        """Opens nothing yet.

        Args:
            declarations: instead of ClickHouse.
            listen: hear the topic `models` too; without it the pointer alone is read.
        """
        self._settings = settings
        self._telemetry = telemetry or Telemetry()
        self._look_s = look_s
        self._local = ModelRegistry(settings.serving_dir)
        self._arrivals = Arrivals(
            settings, self._store, self._local, declarations or DeclaredIndexes(settings),
            self._last, lambda: self._serving.generation, lambda: self._encode_few,
        )  # fmt: skip
        self._encode_few: EncodeFew | None = None
        self._told: set[str] = set()
        self._serving = _Serving()
        self._state = FollowState(ready=False)
        self._named: NamedModel | None = None
        self._naming = Lock()
        self._wake, self._stop = Event(), Event()
        self._listener = TopicListener(settings, self._heard) if listen else None
        self._thread = Thread(target=self._follow, name="follow", daemon=True)
        self._shadowing: Shadowing | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def take_turns(self, encode_few: EncodeFew) -> None:
        """From now on models are checked by way of `encode_few`, among what else is encoded.

        Without it they are checked in the follower's thread, at the cost of those who encode in
        others at that moment.
        """
        self._encode_few = encode_few

    def start(self) -> None:
        """Load what the alias names, or what served last, and follow from then on.

        Returns when one look is done: then something serves, or `state` says why not.
        """
        self.look()
        self._thread.start()
        if self._listener is not None:
            self._listener.start()

    def close(self) -> None:
        """Follow no longer; what serves stays readable."""
        self._stop.set()
        self._wake.set()
        if self._listener is not None:
            self._listener.close()
        if self._thread.is_alive():
            self._thread.join(timeout=60)
        if self._shadowing is not None:
            self._shadowing.close()

    def current(self) -> InService:
        """See `Follower`."""
        generation = self._serving.generation
        if generation is None:
            raise UnavailableError(f"no model serves yet: {self._state.last_refusal or 'loading'}")
        return generation

    def serving(self, query_id: str | None) -> InService:
        """See `Follower`."""
        seen, share = self._serving, self._settings.serving_canary_share
        candidate = seen.candidate
        if query_id and candidate and share_of(candidate.model_id, query_id) < share:
            return candidate
        return self.current()

    def state(self) -> FollowState:
        """See `Follower`."""
        return self._state

    def look(self) -> None:
        """Read the pointer, and let what is named serve if it is another one. Raises nothing."""
        pointed = self._pointed()
        with self._naming:
            if pointed is not None and (self._named is None or pointed.at >= self._named.at):
                self._named = pointed
            named = self._named
        wanted = (
            self._last_id() if named is None and pointed is None else (named and named.model_id)
        )
        self._state = replace(self._state, alias=wanted or "")
        serving = self._serving.generation
        if serving is None or serving.model_id != (wanted or self._settings.base_model):
            self._take(wanted or "")
        self._take_candidate()

    def _take(self, model_id: str) -> None:
        """Bring a model into service, or stay; at the start, with what served last or the base."""
        for each in dict.fromkeys((model_id, *self._otherwise(model_id))):
            try:
                arrived = self._arrivals.bring(each) if each else self._arrivals.base()
            except RefusedModelError as refused:
                self._refused(each or self._settings.base_model, refused)
                continue
            self._flip(arrived)
            return

    def _otherwise(self, model_id: str) -> tuple[str, ...]:
        """What may serve instead: while nothing does, what served last, else the base model."""
        if self._serving.generation is not None:
            return ()
        return (self._last_id(), "") if self._last_id() != model_id else ("",)

    def _flip(self, arrived: Arrived) -> None:
        generation, first = arrived.generation, self._serving.generation is None
        if self._settings.serving_shadow_share > 0:
            generation = self._shadowed(generation)
        # The one moment in which another model serves.
        self._serving = replace(self._serving, generation=generation)
        swaps = self._state.swaps + (0 if first else 1)
        met = generation.model_id == (self._state.alias or self._settings.base_model)
        self._state = replace(
            self._state,
            ready=True,
            swaps=swaps,
            last_refusal="" if met else self._state.last_refusal,
        )
        gauges.show_swap(self._telemetry, "served" if arrived.declared else "undeclared")
        gauges.show_in_service(self._telemetry, generation)
        _LOG.info("%s serves", generation.model_id)
        before = self._last().model_id
        last = ServedLast(generation.model_id, generation.document_fingerprint)
        files.replace_file(self._settings.serving_dir / _LAST_FILE, orjson.dumps(last))
        # A rollback finds the model before; the others can be fetched again.
        for each in set(self._local.ids()) - {last.model_id, before, self._candidate_id}:
            self._local.discard(each)
        self._told.clear()

    def _refused(self, model_id: str, refused: RefusedModelError) -> None:
        message = f"{refused.reason}: {refused}"
        if message not in self._told:  # told once, tried again at each look
            self._told.add(message)
            _LOG.error("%s does not get into service: %s", model_id, refused)
            gauges.show_refusal(self._telemetry, refused.reason)
            gauges.show_swap(self._telemetry, "refused")
        self._state = replace(self._state, last_refusal=message)

    def _take_candidate(self) -> None:
        wanted, serving = self._candidate_id, self._serving
        if not wanted or serving.generation is None or serving.candidate is not None:
            return
        try:
            candidate = self._arrivals.bring(wanted).generation
        except RefusedModelError as refused:
            self._refused(wanted, refused)
            return
        self._serving = replace(serving, candidate=candidate)
        self._state = replace(self._state, candidate=candidate)
        if self._settings.serving_shadow_share > 0:
            self._serving = replace(self._serving, generation=self._shadowed(serving.generation))

    def _shadowed(self, generation: InService) -> InService:
        """The generation with its queries seen by the candidate, once there is one."""
        candidate = self._serving.candidate
        if candidate is None or generation.model_id == candidate.model_id:
            return generation
        if self._shadowing is None:
            reference = read_reference(self._local.get(candidate.model_id).folder)
            own = candidate.query.again  # models are not thread-safe: a copy for its thread
            if reference is None or own is None:
                return generation
            self._shadowing = Shadowing(
                own(), candidate.model_id, reference, self._settings.serving_shadow_share,
                lambda overlap: gauges.show_shadow(self._telemetry, candidate.model_id, overlap),
            )  # fmt: skip
            self._shadowing.start()
        return replace(generation, query=ShadowedEncoder(generation.query, self._shadowing))

    def _pointed(self) -> NamedModel | None:
        try:
            raw = self._store().current()
            return None if raw is None else named_by_alias(Alias.model_validate_json(raw))
        except (RagwheelError, ValidationError) as error:
            reason = str(error).strip().splitlines()[0]
            _LOG.warning("the pointer of the artifact store cannot be read: %s", reason)
            return None

    def _store(self) -> ArtifactStore:
        return artifacts_of(self._settings.artifacts, self._settings.model_dir)

    def _last(self) -> ServedLast:
        try:
            raw = (self._settings.serving_dir / _LAST_FILE).read_bytes()
            return ServedLast(**orjson.loads(raw))
        except (FileNotFoundError, TypeError, ValueError):
            return ServedLast()

    def _last_id(self) -> str:
        """Id of the model that served last; empty: the base model, or nobody knows."""
        last = self._last().model_id
        return "" if last == self._settings.base_model else last

    @property
    def _candidate_id(self) -> str:
        return self._settings.serving_candidate

    def _heard(self, named: NamedModel) -> None:
        with self._naming:
            if self._named is None or named.at >= self._named.at:
                self._named = named
        self._wake.set()

    def _follow(self) -> None:
        while not self._stop.is_set():
            self._wake.wait(self._look_s)
            self._wake.clear()
            if not self._stop.is_set():
                self._look_or_stay()

    def _look_or_stay(self) -> None:
        try:
            self.look()
        except Exception:  # noqa: BLE001 - edge of a thread: what serves must go on to serve
            _LOG.exception("a look at what is promoted failed; the model in service stays")
            gauges.show_refusal(self._telemetry, "error")
