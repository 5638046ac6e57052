#!/bin/sh
# Install what tests use and Python's packages cannot bring: Prometheus with promtool, Alertmanager
# with amtool, Chromium, and the compose command. Where that is not possible, tests skip and say so;
# in CI they fail.
set -u
missing=""
command -v promtool >/dev/null 2>&1 && command -v prometheus >/dev/null 2>&1 || missing="$missing prometheus"
command -v amtool >/dev/null 2>&1 || missing="$missing prometheus-alertmanager"
command -v chromium >/dev/null 2>&1 || command -v google-chrome >/dev/null 2>&1 || missing="$missing chromium"
# The compose plugin of Docker, or the command of its own: either can check docker-compose.yml
# without an engine.
docker compose version >/dev/null 2>&1 || command -v docker-compose >/dev/null 2>&1 || missing="$missing docker-compose"
[ -z "$missing" ] && exit 0

if ! command -v apt-get >/dev/null 2>&1; then
    echo "not installed and not installable here:$missing (the tests that need them are skipped)"
    exit 0
fi
as_root=""
if [ "$(id -u)" != 0 ]; then
    if command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
        as_root="sudo"
    else
        echo "not installed:$missing. Run: sudo apt-get install$missing (their tests are skipped now)"
        exit 0
    fi
fi
echo "installing$missing"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
# The distribution's service must not start: tests run their own on a free port.
if ! { $as_root apt-get update && $as_root apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1; then
    tail -n 5 "$log"
    echo "could not install$missing (the tests that need them are skipped)"
fi
rm -f "$log"
