"""Shards are named by what they hold; every chunk has one fate."""

from __future__ import annotations

from ragwheel.reembed.shards import EMBEDDED, ChunkPair, Totals, cut, shard_id_of, tally

PAIRS: list[ChunkPair] = [(f"c-{n}", f"{n * 7 % 10:032x}") for n in range(10)]


def test_equal_corpora_make_equal_shards_in_whatever_order_they_are_read() -> None:
    shards = list(cut(PAIRS, "f", 4))
    assert [len(each.pairs) for each in shards] == [4, 4, 2]
    assert list(cut(PAIRS[::-1], "f", 4)) == shards
    assert sorted(pair for each in shards for pair in each.pairs) == sorted(PAIRS)
    assert all(each.state == "waiting" and each.revision == 0 for each in shards)


def test_another_model_and_another_id_of_the_same_text_make_another_shard() -> None:
    text = f"{1:032x}"
    names = {
        shard_id_of([("a", text)], "f"),
        shard_id_of([("b", text)], "f"),
        shard_id_of([("a", text)], "g"),
    }
    assert len(names) == 3


def test_what_left_the_index_leaves_its_shard_with_its_fate() -> None:
    (shard,) = cut(PAIRS[:3], "f")
    done = shard.done({shard.pairs[1][0]: "failed: too long"}, 1.5, "local")
    assert done.fates == [EMBEDDED, "failed: too long", EMBEDDED]
    kept = done.kept(set(done.pairs[1:]))
    assert kept.pairs == done.pairs[1:]
    assert kept.fates == ["failed: too long", EMBEDDED]
    assert (kept.shard_id, kept.revision) == (shard.shard_id, 2)
    assert done.kept(set(done.pairs)) is done


def test_fates_add_up_to_the_corpus() -> None:
    embedded, failed, skipped = tally(
        {"embedded": 7, "failed: a": 2, "failed: b": 1, "skipped: a": 3}
    )
    assert (embedded, failed, skipped) == (7, {"a": 2, "b": 1}, {"a": 3})
    assert Totals(20, embedded, failed, skipped, waiting=5).unaccounted == 2
