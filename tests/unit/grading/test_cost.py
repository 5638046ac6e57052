"""Prices and shares."""

import random
from pathlib import Path

import pytest

from ragwheel.grading.cost import (
    Price,
    load_prices,
    parse_prices,
    price_of,
    share,
)
from ragwheel.schemas.errors import ConfigError


def test_a_call_costs_what_the_table_says() -> None:
    assert Price(0.2, 1.2).cost_usd(1_000_000, 500_000) == pytest.approx(0.8)
    assert Price(2.0, 10.0).cost_usd(0, 0) == 0.0


def test_shares_add_up_exactly_and_follow_the_weights() -> None:
    dice = random.Random(3)
    for _ in range(2_000):
        weights = [dice.randrange(0, 5_000) for _ in range(dice.randint(1, 12))]
        total = dice.randrange(0, 20_000)
        shares = share(total, weights)
        assert sum(shares) == total
        whole = sum(weights)
        if whole:
            assert all(
                abs(part - total * weight / whole) <= 1.0
                for part, weight in zip(shares, weights, strict=True)
            )
    assert share(7, []) == []
    assert share(7, [0, 0]) == [4, 3]


def test_own_prices_lie_over_the_packaged_ones(tmp_path: Path) -> None:
    own = tmp_path / "prices.toml"
    own.write_text('["my/model"]\ninput = 1\noutput = 2\n[stand-in-judge]\ninput = 0\noutput = 0\n')
    prices = load_prices(own)
    assert prices["my/model"] == Price(1.0, 2.0)
    assert prices["stand-in-judge"] == Price(0.0, 0.0)
    assert prices["stand-in-grader"] == load_prices()["stand-in-grader"]


@pytest.mark.parametrize(
    "text",
    ["[m]\ninput = 1", "[m]\ninput = -1\noutput = 1", "[m]\ninput = 'a'\noutput = 1", "m = 1",
     "[m]\ninput = nan\noutput = 1", "[m]\ninput = true\noutput = 1", "["],
)  # fmt: skip
def test_a_broken_price_table_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="own-table"):
        parse_prices(text, "own-table")


def test_an_unpriced_model_is_fine_until_there_is_a_budget() -> None:
    assert price_of("unknown", {}, None) is None
    with pytest.raises(ConfigError, match="RAGWHEEL_PRICES_FILE"):
        price_of("unknown", {}, 5.0)


def test_each_shipped_price_says_where_and_when_it_was_read() -> None:
    for model, price in load_prices().items():
        assert price.source.startswith("https://"), model
        assert price.as_of is not None, model
