"""Dashboards: committed as generated, well-formed for Grafana, true to the metrics registry."""

from __future__ import annotations

import itertools
import re
from typing import Any

import orjson
import pytest
import yaml
from tests.unit.observability.promql import ROOT, families, faults, rules

from ragwheel.observability.boards import DASHBOARDS, DASHBOARDS_DIR, files
from ragwheel.observability.boards.board import GRID_WIDTH
from ragwheel.schemas.metrics import ALL_METRICS

BOARDS: dict[str, dict[str, Any]] = {name: orjson.loads(made) for name, made in files().items()}
PROVISIONING = ROOT / "infra/ragwheel/observability/provisioning"

#: Metrics that no board or rule shows → why.
NOT_SHOWN: dict[str, str] = {}


def _panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


EVERY_PANEL = [
    pytest.param(panel, id=f"{name}: {panel['title']}")
    for name, board in BOARDS.items()
    for panel in _panels(board)
]


def _queries(board: dict[str, Any]) -> list[str]:
    shown = [target["expr"] for panel in _panels(board) for target in panel["targets"]]
    shown += [mark["expr"] for mark in board["annotations"]["list"]]
    chosen = [variable["query"] for variable in board["templating"]["list"]]
    return shown + [query["query"] for query in chosen if isinstance(query, dict)]


def test_the_committed_dashboards_are_the_generated_ones() -> None:
    committed = {path.name: path.read_bytes() for path in DASHBOARDS_DIR.glob("*.json")}
    assert committed == files(), "run `make docs` and commit what it writes"


@pytest.mark.parametrize("panel", EVERY_PANEL)
def test_a_panel_explains_itself(panel: dict[str, Any]) -> None:
    assert len(panel["description"]) > 5
    assert panel["description"].rstrip().endswith(".")
    assert panel["title"]
    assert len(panel["title"]) <= 48


@pytest.mark.parametrize("panel", EVERY_PANEL)
def test_a_panel_asks_the_chosen_prometheus_under_distinct_names(panel: dict[str, Any]) -> None:
    names = [target["refId"] for target in panel["targets"]]
    assert names
    assert len(set(names)) == len(names)
    for part in (panel, *panel["targets"]):
        assert part["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert panel["fieldConfig"]["defaults"]["unit"]


@pytest.mark.parametrize("panel", EVERY_PANEL)
def test_overrides_name_series_that_the_panel_can_show(panel: dict[str, Any]) -> None:
    legends = {target["legendFormat"] for target in panel["targets"]}
    if any("{{" in legend for legend in legends):
        return  # names come from labels; the integration test sees them
    for override in panel["fieldConfig"]["overrides"]:
        assert override["matcher"]["options"] in legends


@pytest.mark.parametrize("panel", EVERY_PANEL)
def test_thresholds_rise_from_a_base(panel: dict[str, Any]) -> None:
    base, *steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert base["value"] is None
    values = [step["value"] for step in steps]
    assert values == sorted(values)


@pytest.mark.parametrize("panel", EVERY_PANEL)
def test_a_panel_reads_metrics_and_labels_that_exist(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        assert not faults(target["expr"]), target["expr"]


@pytest.mark.parametrize("name", sorted(BOARDS))
def test_variables_and_marks_read_metrics_and_labels_that_exist(name: str) -> None:
    for query in _queries(BOARDS[name]):
        assert not faults(query), query


@pytest.mark.parametrize("name", sorted(BOARDS))
def test_panels_have_distinct_ids_and_places_that_do_not_overlap(name: str) -> None:
    panels = BOARDS[name]["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [panel["gridPos"] for panel in panels]
    for place in places:
        assert place["x"] >= 0
        assert place["w"] > 0
        assert place["h"] > 0
        assert place["x"] + place["w"] <= GRID_WIDTH
    for one, other in itertools.combinations(places, 2):
        apart = (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
        assert apart, f"{one} overlaps {other}"


@pytest.mark.parametrize("name", sorted(BOARDS))
def test_a_board_has_what_grafana_needs_to_provision_it(name: str) -> None:
    board = BOARDS[name]
    assert board["schemaVersion"] >= 41
    assert f"{board['uid']}.json" == name
    assert re.fullmatch(r"[a-z0-9-]{1,40}", board["uid"])
    assert board["title"].startswith("ragwheel: ")
    assert "id" not in board, "the id is Grafana's own"
    first = board["templating"]["list"][0]
    assert (first["type"], first["name"]) == ("datasource", "datasource")


@pytest.mark.parametrize("name", sorted(BOARDS))
def test_a_board_uses_every_variable_it_offers_and_no_other(name: str) -> None:
    board = BOARDS[name]
    offered = {variable["name"] for variable in board["templating"]["list"]}
    text = orjson.dumps({key: board[key] for key in ("panels", "templating")}).decode()
    used = {match for match in re.findall(r"\$\{?([a-z]+)\b", text) if match != "all"}
    assert used == offered


def test_boards_are_distinct() -> None:
    assert len({board.uid for board in DASHBOARDS}) == len(DASHBOARDS)
    assert len({board.title for board in DASHBOARDS}) == len(DASHBOARDS)


def test_every_metric_is_shown_or_alerted_on_or_left_out_for_a_reason() -> None:
    queries = [query for board in BOARDS.values() for query in _queries(board)]
    queries += [rule["expr"] for rule in rules("alert")]
    used = set().union(*map(families, queries))
    registered = {metric.name for metric in ALL_METRICS}
    assert used <= registered
    assert registered - used == set(NOT_SHOWN)


def test_grafana_is_provisioned_with_the_boards_and_a_prometheus() -> None:
    (source,) = yaml.safe_load((PROVISIONING / "datasources/prometheus.yml").read_text("utf-8"))[
        "datasources"
    ]
    assert source["type"] == "prometheus"
    assert source["isDefault"] is True
    (provider,) = yaml.safe_load((PROVISIONING / "dashboards/ragwheel.yml").read_text("utf-8"))[
        "providers"
    ]
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
    mounted = [str(volume).split(":")[1] for volume in compose["services"]["grafana"]["volumes"]]
    assert provider["options"]["path"] in mounted
    assert source["url"] == "http://prometheus:9090"
    assert "prometheus" in compose["services"]


def test_the_data_source_knows_the_scrape_interval() -> None:
    # Rates over less than four scrapes are noise; Grafana derives its smallest window from this.
    source = yaml.safe_load((PROVISIONING / "datasources/prometheus.yml").read_text("utf-8"))
    scraped = yaml.safe_load(
        (ROOT / "infra/ragwheel/observability/prometheus.yml").read_text("utf-8")
    )
    told = source["datasources"][0]["jsonData"]["timeInterval"]
    assert told == scraped["global"]["scrape_interval"]
