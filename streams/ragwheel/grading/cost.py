"""Prices, and what a call costs. Pure, apart from reading the tables."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from ragwheel.schemas.errors import ConfigError

_Usd = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)]


@dataclass(frozen=True, slots=True, config=ConfigDict(extra="forbid"))
class Price:
    """USD per 1,000,000 tokens.

    Attributes:
        source: where it was read; each price that is shipped says so.
        as_of: when.
    """

    input: _Usd
    output: _Usd
    source: str = ""
    as_of: date | None = None

    def cost_usd(self, input_tokens: int, output_tokens: int) -> float:
        """Price of that many tokens, USD."""
        return (input_tokens * self.input + output_tokens * self.output) / 1_000_000


_PRICES = TypeAdapter(dict[str, Price])


def load_prices(extra: Path | None = None) -> dict[str, Price]:
    """The packaged table with `extra` laid over it: model → price.

    Raises:
        ConfigError: names the file, the model and the fix.
    """
    packaged = resources.files(__package__).joinpath("prices.toml").read_text("utf-8")
    prices = parse_prices(packaged, "prices.toml")
    if extra is not None:
        try:
            prices |= parse_prices(extra.read_text("utf-8"), str(extra))
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"RAGWHEEL_PRICES_FILE={extra} cannot be read: {error}") from None
    return prices


def parse_prices(text: str, source: str) -> dict[str, Price]:
    """A price table from TOML: one table per model with `input` and `output`."""
    try:
        return _PRICES.validate_python(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source} is not TOML: {error}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = " ".join(map(str, first["loc"]))
        raise ConfigError(
            f"{source}: [{where}]: {first['msg']}; each model needs input and output, USD per 1M "
            "tokens, 0 or more"
        ) from None


def share(total: int, weights: Sequence[int]) -> list[int]:
    """Split `total` in proportion to `weights` into integers that add up to `total` exactly.

    Equal split when all weights are 0. Used to give each pair its part of a call's tokens.
    """
    if not weights:
        return []
    whole = sum(weights)
    if whole == 0:
        weights, whole = [1] * len(weights), len(weights)
    shares = [total * weight // whole for weight in weights]
    for index in range(total - sum(shares)):
        shares[index % len(shares)] += 1
    return shares


def price_of(model: str, prices: Mapping[str, Price], limit_usd: float | None) -> Price | None:
    """The price of `model`; None means unpriced.

    Raises:
        ConfigError: unpriced while a budget is set, which could then never be reached.
    """
    price = prices.get(model)
    if price is None and limit_usd is not None:
        raise ConfigError(
            f"RAGWHEEL_DAILY_BUDGET_USD is set, but model {model!r} has no price; add it to the "
            "file named by RAGWHEEL_PRICES_FILE ([model] input = …, output = … USD per 1M tokens), "
            "or set RAGWHEEL_DAILY_BUDGET_USD=0 for no limit"
        )
    return price
