"""One run of the demo for every test that looks at the whole loop."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.rigs.demo import DemoRun, played_demo


@pytest.fixture(scope="session")
def demo_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoRun]:
    """The small demo, played once per session. Tests that use it need a long timeout."""
    with played_demo(tmp_path_factory.mktemp("demo")) as run:
        yield run
