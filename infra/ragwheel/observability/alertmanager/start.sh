#!/bin/sh
# Alertmanager with the receivers that the environment names: ALERT_WEBHOOK_URL, ALERT_MAIL_TO with
# ALERT_MAIL_FROM and ALERT_SMTP_…, ALERT_WATCHDOG_URL. Its configuration reads no variables itself.
# Arguments go to Alertmanager. docs/operations.md#who-is-told
set -eu
umask 077
folder=${TMPDIR:-/tmp}
config=$folder/alertmanager.yml

# A YAML text of any characters.
quoted() { printf "'%s'" "$(printf %s "$1" | sed "s/'/''/g")"; }

if [ -n "${ALERT_MAIL_TO:-}" ] && { [ -z "${ALERT_SMTP_HOST:-}" ] || [ -z "${ALERT_MAIL_FROM:-}" ]; }; then
    echo "ALERT_MAIL_TO needs ALERT_SMTP_HOST (host:port) and ALERT_MAIL_FROM" >&2
    exit 78
fi
if [ -z "${ALERT_WEBHOOK_URL:-}${ALERT_MAIL_TO:-}" ]; then
    echo "neither ALERT_WEBHOOK_URL nor ALERT_MAIL_TO is set: alerts are shown, and nobody is told" >&2
fi
if [ -z "${ALERT_WATCHDOG_URL:-}" ]; then
    echo "ALERT_WATCHDOG_URL is not set: nobody will notice when alerting itself stops" >&2
fi

{
    cat <<'END'
route:
  receiver: people
  group_by: [alertname]
  group_wait: 30s
  group_interval: 5m
  repeat_interval: 4h
  routes:
    # Always fires: its silence is what something outside must notice.
    - matchers: [alertname="RagwheelWatchdog"]
      receiver: watchdog
      group_wait: 1s
      group_interval: 1m
      repeat_interval: 1m
    - matchers: [severity="warning"]
      receiver: people
      repeat_interval: 24h
inhibit_rules:
  # A budget that burns fast burns slowly, too.
  - source_matchers: [alertname=~"Ragwheel.+BurnsFast"]
    target_matchers: [alertname=~"Ragwheel.+BurnsSlowly"]
    equal: [slo]
receivers:
  - name: people
END
    if [ -n "${ALERT_WEBHOOK_URL:-}" ]; then
        echo "    webhook_configs:"
        echo "      - url: $(quoted "$ALERT_WEBHOOK_URL")"
    fi
    if [ -n "${ALERT_MAIL_TO:-}" ]; then
        echo "    email_configs:"
        echo "      - to: $(quoted "$ALERT_MAIL_TO")"
        echo "        from: $(quoted "$ALERT_MAIL_FROM")"
        echo "        smarthost: $(quoted "$ALERT_SMTP_HOST")"
        echo "        send_resolved: true"
        if [ -n "${ALERT_SMTP_USERNAME:-}" ]; then
            echo "        auth_username: $(quoted "$ALERT_SMTP_USERNAME")"
            echo "        auth_password: $(quoted "${ALERT_SMTP_PASSWORD:-}")"
        fi
    fi
    echo "  - name: watchdog"
    if [ -n "${ALERT_WATCHDOG_URL:-}" ]; then
        echo "    webhook_configs:"
        echo "      - url: $(quoted "$ALERT_WATCHDOG_URL")"
        echo "        send_resolved: false"
    fi
} >"$config"

exec alertmanager --config.file="$config" "$@"
