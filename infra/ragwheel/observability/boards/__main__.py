"""Write the dashboards where Grafana is provisioned from."""

from __future__ import annotations

from ragwheel.observability.boards.dashboards import DASHBOARDS_DIR, files


def main() -> None:
    """Write every dashboard and remove those that are no longer made."""
    made = files()
    DASHBOARDS_DIR.mkdir(parents=True, exist_ok=True)
    for old in DASHBOARDS_DIR.glob("*.json"):
        if old.name not in made:
            old.unlink()
    for name, content in made.items():
        (DASHBOARDS_DIR / name).write_bytes(content)


if __name__ == "__main__":
    main()
