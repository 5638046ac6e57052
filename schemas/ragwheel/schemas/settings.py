"""Every setting of every process, read from the environment once, in `main`.

Names are `RAGWHEEL_` + the field's name in upper case. A setting of another process is ignored;
a name that no process knows is an error, because a misspelt setting that does nothing is worse
than a process that does not start. What Kubernetes injects is neither: see `kubernetes`.
docs/settings.md is printed from here and compared in a test.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from ragwheel.schemas import limits
from ragwheel.schemas.kubernetes import is_injected
from ragwheel.schemas.secrets import ClickHouseUrl, StoreUrl

PREFIX = "RAGWHEEL_"


class Settings(BaseSettings):
    """Base of all: frozen, from the environment or from keyword arguments."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        frozen=True,
        extra="forbid",
        env_ignore_empty=True,
        hide_input_in_errors=True,
    )

    @field_validator("*", mode="before")
    @classmethod
    def _not_set_by_kubernetes(cls, value: object, info: ValidationInfo) -> object:
        """Nobody set what a Service of that name injected: the default holds."""
        field = str(info.field_name)
        if not is_injected(PREFIX + field.upper(), value):
            return value
        return cls.model_fields[field].get_default(call_default_factory=True)


class KafkaSettings(Settings):
    """How to reach Kafka."""

    kafka_bootstrap_servers: str = Field(
        "localhost:9092", description="Brokers to start from: host:port, comma-separated."
    )
    topic_prefix: str = Field("ragwheel.", description="Put before each logical topic name.")
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="As in Kafka's `security.protocol`."
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] = Field(
        "SCRAM-SHA-512", description="Used when the protocol is SASL_*."
    )
    kafka_sasl_username: str = Field("", description="SASL user name; not for OAUTHBEARER.")
    kafka_sasl_password: SecretStr = Field(
        SecretStr(""), description="SASL password; not for OAUTHBEARER."
    )
    kafka_ssl_ca_location: str = Field(
        "", description="CA bundle (PEM) for *SSL; empty: the system's."
    )
    kafka_ssl_certificate_location: str = Field(
        "", description="Own certificate (PEM), with those between it and the CA: mutual TLS."
    )
    kafka_ssl_key_location: str = Field("", description="Its private key (PEM).")
    kafka_ssl_key_password: SecretStr = Field(SecretStr(""), description="Password of the key.")
    kafka_oauth_token_url: str = Field(
        "",
        pattern=r"^(https?://.+)?$",
        description="Where OAUTHBEARER's tokens come from (OpenID Connect, client credentials).",
    )
    kafka_oauth_client_id: str = Field("", description="Client there.")
    kafka_oauth_client_secret: SecretStr = Field(SecretStr(""), description="Its secret.")
    kafka_oauth_scope: str = Field("", description="Scope to ask for; empty: none.")


class ClickHouseSettings(Settings):
    """How to reach ClickHouse."""

    clickhouse_url: ClickHouseUrl = Field(
        ClickHouseUrl("http://localhost:8123/ragwheel"),
        description="http(s)://host:port/database; user:password@ before the host, "
        "percent-encoded, is read too.",
    )
    clickhouse_user: str = Field("", description="User; wins over the one in the URL.")
    clickhouse_password: SecretStr = Field(
        SecretStr(""),
        description="Password as it is, any characters; wins over the one in the URL.",
    )
    clickhouse_ca_location: str = Field(
        "", description="CA bundle (PEM) for https; empty: the system's."
    )
    clickhouse_replicated: bool = Field(
        False,
        description="Create Replicated* engines (self-managed cluster with a Replicated database).",
    )


class MetricsSettings(Settings):
    """Where /metrics is served."""

    metrics_host: str = Field("127.0.0.1", description="Address of the /metrics listener.")
    metrics_port: int = Field(
        0, ge=-1, le=65_535, description="Port of /metrics; 0 picks a free one, -1 turns it off."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Threshold of the process's log."
    )


class IntakeGroupSettings(Settings):
    """Whose commits say what has landed."""

    intake_group: str = Field("ragwheel-intake", description="Consumer group of intake.")


class GraderGroupSettings(Settings):
    """Whose commits say what was graded."""

    grader_group: str = Field("ragwheel-grader", description="Consumer group of the grader.")


class RedactionSettings(Settings):
    """What is changed in texts before they go on."""

    redact_rules: str = Field(
        "",
        description="TOML file of redaction rules, or `common` for those shipped with ragwheel; "
        "empty: none.",
    )
    redact_function: str = Field(
        "", description="module:function from text to text, called after the rules; empty: none."
    )


class ClientSettings(KafkaSettings, RedactionSettings):
    """The emitting service. Defaults favour the service over the data."""

    service: str = Field("", description="`service.name`; put on every event.")
    client_enabled: bool = Field(True, description="false: accept calls, send nothing.")
    client_send_text: bool = Field(
        True,
        description="false: retrievals carry content hashes only; send each chunk once instead.",
    )
    client_queue_mib: int = Field(
        64,
        ge=1,
        le=1_024,
        description="Memory for unsent events, each of which counts as half a KiB at least; beyond "
        "it events are dropped.",
    )
    client_flush_timeout_s: float = Field(
        5.0, ge=0, le=60, description="Longest wait at exit for unsent events."
    )
    client_message_timeout_s: float = Field(
        30.0, gt=0, le=300, description="How long an event is retried before it counts as failed."
    )


class SamplingSettings(Settings):
    """Which traffic is graded."""

    sample_rate: float = Field(
        0.05, ge=0, le=1, description="Share of queries to grade where no segment rate is set."
    )
    sample_rates: Annotated[dict[str, float], NoDecode] = Field(
        default_factory=dict,
        description='Rate per segment: "code=0.2,tables=1". Overrides RAGWHEEL_SAMPLE_RATE.',
    )
    grade_depth: int = Field(
        20,
        ge=1,
        le=limits.MAX_CANDIDATES,
        description="Candidates graded per retrieval, from the top.",
    )

    @field_validator("sample_rates", mode="before")
    @classmethod
    def _from_text(cls, rates: object) -> object:
        """Accept text, which is what an environment variable can hold."""
        if not isinstance(rates, str):
            return rates
        found: dict[str, float] = {}
        for pair in rates.split(","):
            segment, _, rate = pair.partition("=")
            try:
                found[segment.strip()] = float(rate)
            except ValueError:
                found[segment.strip()] = -1.0
            if not 0 <= found[segment.strip()] <= 1:
                raise ValueError(f"{pair!r} is not segment=rate with a rate in [0, 1]")
        return found


class AcceptanceSettings(Settings):
    """Which times of an event are taken."""

    max_event_age_days: int = Field(
        150,
        ge=1,
        le=3_650,
        description="Older events are dead-lettered, unless they are marked as a backfill "
        "(`ragwheel emit --backfill`).",
    )
    max_event_ahead_s: int = Field(
        3_600, ge=0, le=86_400, description="Events further in the future are dead-lettered."
    )


class IntakeSettings(
    KafkaSettings,
    ClickHouseSettings,
    MetricsSettings,
    IntakeGroupSettings,
    SamplingSettings,
    AcceptanceSettings,
    RedactionSettings,
):
    """The process that lands everything in ClickHouse and samples traffic."""

    intake_batch_rows: int = Field(
        10_000, ge=1, le=limits.MAX_BATCH_ROWS, description="Messages per insert at most."
    )
    intake_batch_mib: int = Field(
        32, ge=1, le=512, description="MiB of messages per insert at most; memory is about 5 times."
    )
    intake_batch_s: float = Field(
        1.0, gt=0, le=60, description="Seconds after which a smaller batch is inserted."
    )
    session_timeout_s: float = Field(
        45.0, ge=6, le=300, description="Consumer-group session; a dead worker is replaced after."
    )


class AccountsSettings(
    KafkaSettings, ClickHouseSettings, MetricsSettings, IntakeGroupSettings, GraderGroupSettings
):
    """The process that shows whether anything was lost."""

    accounts_refresh_s: float = Field(
        5.0, gt=0, le=3_600, description="Seconds between two looks at Kafka and the ledger."
    )


class RubricSettings(Settings):
    """What relevant means."""

    rubric_dir: Path | None = Field(
        None, description="Folder of rubric files; empty: the rubrics shipped with ragwheel."
    )


class GraderSettings(
    KafkaSettings, ClickHouseSettings, MetricsSettings, GraderGroupSettings, RubricSettings
):
    """The process that grades."""

    llm_base_url: str = Field(
        "https://api.openai.com/v1", description="Any OpenAI-compatible endpoint."
    )
    llm_api_key: SecretStr = Field(
        SecretStr(""), description='Its key. Required; "none" for an endpoint that wants none.'
    )
    llm_model: str = Field("gpt-5.6-luna", description="Model that makes training labels.")
    judge_model: str = Field(
        "gpt-5.6-terra",
        description="Model that judges promotions; must not be the one that labels.",
    )
    llm_concurrency: int = Field(16, ge=1, le=512, description="LLM calls in flight per worker.")
    llm_timeout_s: float = Field(30.0, gt=0, le=600, description="Limit of one LLM call.")
    llm_deadline_s: float = Field(
        3_600.0,
        gt=0,
        le=86_400,
        description="Retries of one call end after this; then it fails, or all calls wait if none "
        "is answered.",
    )
    llm_temperature: float | None = Field(
        0.0, ge=0, le=2, description='Sampling temperature; "none" sends no such parameter.'
    )
    llm_passages_per_call: int = Field(10, ge=1, le=50, description="Passages graded in one call.")
    llm_cache_dir: Path = Field(
        Path(".ragwheel/llm"),
        description="Where is kept which parts of a request each endpoint takes.",
    )
    llm_tokens_per_call: int = Field(
        6_000, ge=100, le=200_000, description="Tokens of the passages of one call, as estimated."
    )
    llm_tokens_per_passage: int = Field(
        1_500, ge=50, le=100_000, description="Tokens after which a passage is cut, as estimated."
    )
    grader_decoys: int = Field(
        1,
        ge=0,
        le=5,
        description="Random chunks put into each grading call to measure the grader; 0 is none.",
    )
    daily_budget_usd: float = Field(
        0.0, ge=0, description="Spending limit of all graders per UTC day; 0 is no limit."
    )
    daily_budget_tokens: int = Field(
        0, ge=0, description="Tokens, in and out, of all graders per UTC day; 0 is no limit."
    )
    prices_file: Path | None = Field(
        None,
        description="TOML of prices, USD per 1M tokens, laid over those shipped with ragwheel.",
    )
    grader_window: int = Field(
        256, ge=1, le=10_000, description="Jobs read and not yet acknowledged, per worker."
    )
    grader_stop_s: float = Field(
        10.0, ge=0, le=600, description="Longest wait at the end for jobs under way."
    )
    session_timeout_s: float = Field(
        45.0, ge=6, le=300, description="Consumer-group session; a dead worker is replaced after."
    )

    @field_validator("llm_api_key", mode="before")
    @classmethod
    def _no_key_is_said(cls, key: object) -> object:
        """No key is a key like any other: it is sent, and an endpoint without keys ignores it."""
        return "none" if key is None else key

    @field_validator("llm_temperature", mode="before")
    @classmethod
    def _none_from_text(cls, temperature: object) -> object:
        # Here and not for all settings: "none" is a password as good as another.
        return None if temperature == "none" else temperature


class ModelSettings(Settings):
    """What is trained by one process and served by another: both must mean the same model."""

    base_model: str = Field(
        "sentence-transformers/all-MiniLM-L6-v2@c9745ed1d9f207416be6d2e6f8de32d1f16199bf",
        description="Folder, or Hugging Face id@revision, of the embedding model to improve. "
        "Without a revision, what is downloaded is what the hub has that day.",
    )
    model_dir: Path = Field(Path(".ragwheel/models"), description="Where trained models are kept.")
    artifacts: str = Field(
        "",
        description="Folder or fsspec URL (s3://, gs://, az://, hf://) that promoted models are "
        "put at and served from; empty: RAGWHEEL_MODEL_DIR itself, without a copy.",
    )
    max_seq_length: int = Field(128, ge=16, le=8_192, description="Tokens per text.")
    query_prompt: str | None = Field(
        None,
        description="Put before each query, as `query: ` for E5; none: what the model's own "
        "configuration says.",
    )
    document_prompt: str | None = Field(
        None,
        description="Put before each chunk, as `passage: ` for E5; none: what the model's own "
        "configuration says.",
    )

    @property
    def prompts(self) -> dict[Literal["query", "document"], str]:
        """What is put before a query and before a chunk, where it is set."""
        found: dict[Literal["query", "document"], str] = {}
        if self.query_prompt is not None:
            found["query"] = self.query_prompt
        if self.document_prompt is not None:
            found["document"] = self.document_prompt
        return found


class EmbeddingSettings(ModelSettings):
    """Who embeds whole corpora."""

    vector_cache_dir: Path = Field(
        Path(".ragwheel/vectors"), description="Where embeddings are cached."
    )
    embed_workers: int = Field(
        1, ge=1, le=256, description="Processes that embed a corpus, each with the model."
    )


class TrainerSettings(KafkaSettings, ClickHouseSettings, MetricsSettings, EmbeddingSettings):
    """The process that trains, proves and promotes."""

    train_min_queries: int = Field(
        300,
        ge=30,
        description="Train for the first time when this many queries have a relevant label; then "
        "at each doubling.",
    )
    train_max_age_days: float = Field(
        7.0, ge=0, description="Train so long after the last time, if anything is new; 0: never."
    )
    train_alerts_url: str = Field(
        "",
        pattern=r"^(https?://\S+)?$",
        description="Address of a Prometheus: while one of its alerts with the label "
        "ragwheel=train fires, a training is due once a day, if anything is new; empty: none is.",
    )
    train_interval_s: float = Field(
        300.0, gt=0, description="Seconds between looks at the threshold."
    )
    embed_on: Literal["local", "ray"] = Field(
        "local",
        description="Where RAGWHEEL_EMBED_WORKERS embed what a training needs: processes here, or "
        "actors of the Ray cluster of RAY_ADDRESS.",
    )
    train_epochs: int = Field(3, ge=1, le=100, description="Passes over the triplets.")
    train_seed: int = Field(17, ge=0, description="Seed of everything random in training.")
    gate_share: float = Field(
        0.25, gt=0, lt=0.9, description="Share of queries held out for the promotion gate."
    )
    gate_min_queries: int = Field(
        200, ge=20, description="Below this many judged queries the verdict is `shadow` at best."
    )
    gate_max_queries: int = Field(
        1_000,
        ge=20,
        description="At most this many held-out queries are judged per gate, drawn at random.",
    )
    max_query_latency_ms: float | None = Field(None, gt=0, description="Slower models are refused.")
    max_model_mb: float | None = Field(None, gt=0, description="Larger models are refused.")
    judge_timeout_s: float = Field(
        900.0, gt=0, description="How long to wait for the judge's labels."
    )
    second_looks: int = Field(
        200, ge=0, description="Doubtful labels that are graded again after each training."
    )
    judge_depth: int = Field(
        20, ge=1, le=200, description="Top-k of each system that is pooled and judged."
    )

    served_within_hours: float = Field(
        24.0,
        ge=0,
        description="An alert fires when no retrieval has named a promoted model for so long; 0: "
        "never, as where services do not log which model answered.",
    )
    keep_models: int = Field(
        10,
        ge=1,
        description="The newest models that are kept besides the promoted ones and those that are "
        "still measured.",
    )
    keep_vectors_days: int = Field(
        30, ge=1, description="Cached embeddings are kept until unused for so many days."
    )
    keep_snapshots_days: int = Field(
        180, ge=1, description="Snapshots of what was learnt from are kept so many days."
    )


class FollowSettings(KafkaSettings, ClickHouseSettings, ModelSettings):
    """Whoever serves what was promoted, in a process of its own or in a service."""

    serving_dir: Path = Field(
        Path(".ragwheel/serving"),
        description="Where promoted models are fetched to; what served last is there after a "
        "restart.",
    )
    serving_copies: Path | None = Field(
        None,
        description="Folder of measured ONNX copies, each in a folder named by its model's id: "
        "queries are encoded by the copy of the model that serves, if it is there.",
    )
    serving_index: str = Field(
        "",
        description="Index that is searched with the vectors, by the name under which it is "
        "declared; a model of other documents is refused.",
    )
    serving_candidate: str = Field(
        "", description="Id of a second model for a share of the queries; empty: none."
    )
    serving_canary_share: float = Field(
        0.0, ge=0, le=1, description="Share of query ids that the candidate answers."
    )
    serving_shadow_share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of queries that the candidate encodes too, unseen, to measure overlap.",
    )


class ServingSettings(FollowSettings, MetricsSettings):
    """The process that answers with the promoted model."""

    serving_host: str = Field(
        "127.0.0.1",
        description="Address of the HTTP listener; one that others reach needs keys.",
    )
    serving_port: int = Field(
        8_400, ge=0, le=65_535, description="Port of the HTTP listener; 0 picks a free one."
    )
    serving_keys: SecretStr = Field(
        SecretStr(""),
        description="Keys that callers send as `Authorization: Bearer KEY`, comma-separated; "
        "empty: everybody may ask.",
    )
    serving_tls_cert: str = Field(
        "", description="Certificate (PEM) for https, with those between it and the CA."
    )
    serving_tls_key: str = Field("", description="Its private key (PEM).")
    serving_max_body_bytes: int = Field(
        8 * 1024 * 1024, ge=1_024, le=1024**3, description="Longest body of a request, bytes."
    )
    serving_max_texts: int = Field(
        2_048, ge=1, le=100_000, description="Texts of one request at most."
    )
    serving_max_queue: int = Field(
        48,
        ge=1,
        le=1_000_000,
        description="Requests of a role that are under way, beyond which others get 429 and a time "
        "to come back after. The longest wait is that of so many requests at the machine's speed.",
    )
    serving_max_batch_tokens: int = Field(
        4_096,
        ge=16,
        le=1_048_576,
        description="Tokens that are encoded together, padding included.",
    )
    serving_cache_mb: int = Field(
        64, ge=0, le=1_048_576, description="Memory for recent vectors, MB; 0 keeps none."
    )
    serving_stop_s: float = Field(
        30.0, ge=0, le=600, description="Longest wait at the end for requests under way."
    )


class ReembedSettings(KafkaSettings, ClickHouseSettings, EmbeddingSettings):
    """The command that fills a vector store anew."""

    vector_store: StoreUrl = Field(
        StoreUrl(""),
        description="Vector store and the name that services search in it: "
        "`postgresql://user:password@host/database#chunks`, `qdrant://host:6333#chunks`, "
        "`lancedb:///folder#chunks` …; docs/reembedding.md has all.",
    )


PROCESS_SETTINGS: Mapping[str, type[Settings]] = {
    "client": ClientSettings,
    "intake": IntakeSettings,
    "accounts": AccountsSettings,
    "grader": GraderSettings,
    "trainer": TrainerSettings,
    "server": ServingSettings,
    "reembed": ReembedSettings,
}
