"""Every bound that two sides must agree on, once: who sends, checks, stores or counts reads it.

A bound that only one module knows stays in that module.
"""

from __future__ import annotations

from datetime import UTC, datetime

#: Ids that services choose, characters.
MAX_ID_CHARS = 256
#: Names: services, segments, stages, pseudonyms.
MAX_NAME_CHARS = 128
#: A Hugging Face id, or the path of a folder, which may be long.
MAX_MODEL_NAME_CHARS = 4_096
#: A query or a chunk.
MAX_TEXT_CHARS = 65_536
#: Why there is no grade; where a model lies.
MAX_REASON_CHARS = 2_000
#: What is wrong with a message; a verdict in words.
MAX_DETAIL_CHARS = 4_000

#: Candidates of one retrieval or job; the wheel needs 20-40, more is a bug in the caller.
MAX_CANDIDATES = 200
#: The lowest rank of a candidate, and how many a service may ask for.
MAX_RANK = 100_000
#: Queries of one gate: their hashes take 700 kB of an event.
MAX_GATE_QUERIES = 20_000
#: Chunks of an index.
MAX_CHUNKS = 1_000_000_000
#: The largest score or latency, either sign: what 32 bits hold, as they are stored.
MAX_FLOAT32 = 3.4028234663852886e38
#: Levels of JSON. Encoders give up at about 250; what they cannot write must not be let in.
MAX_DEPTH = 200

#: Events above this are dead-lettered as `oversize`, bytes. 40 chunks with text are about 50 kB.
MAX_EVENT_BYTES = 1024 * 1024
#: What topics and producers accept, bytes: room to preserve an oversize event with its reason.
MAX_MESSAGE_BYTES = 4 * 1024 * 1024

#: Messages of one batch of intake, hence the longest run of offsets in a row of the ledger.
MAX_BATCH_ROWS = 200_000

#: A producer may claim any time; a later one is stored as this, which the database can still hold.
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
#: No event of a backfill is older; an earlier time is a broken clock's.
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
