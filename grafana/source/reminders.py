"""Alerts about reminders and the scheduler's duties. R06."""

from .alerting import Alert, Case, Theme

AGE = 'switchboard_waiting_oldest_seconds{kind="reminder",reason="ready"}'
SLOW = "prune|refresh_zone_data|park_stale_pairings"
RUNS = 'switchboard_duty_runs_total{duty="fire_reminders",outcome="%s"}'
LAST = 'switchboard_duty_last_success_timestamp_seconds{duty="%s"}'

ALERTS = [
    Alert(
        "RemindersLate", "page", "1m",
        'max by ($BY) (switchboard_waiting_oldest_seconds{kind="reminder"}) > 60',
        "Reminders are due and do not fire",
        "The oldest occurrence that is due and has not fired is {{ $value | humanizeDuration }} late. Beyond `catchup_window_s` (an hour) it is missed for good.",
        ("overview", 7),
        fires=[Case({AGE: "0x5 10+60x20"}, "10m")],
        silent=[Case({AGE: "0x5 40x20"}, "10m"), Case({AGE: "0x20"}, "10m")],
    ),
    Alert(
        "OccurrencesMissed", "ticket", "0m",
        'sum by ($BY, reason) (increase(switchboard_occurrences_missed_total{reason=~"too_late|late"}[1h])) > 0',
        "Occurrences of reminders were missed because nobody was there to fire them",
        "{{ $value | humanize }} occurrences did not fire within the last hour, for the reason {{ $labels.reason }}. Tenants see a run `missed` and a notification.",
        ("accounts", 17),
        fires=[Case({'switchboard_occurrences_missed_total{reason="too_late"}': "0x10 4x60"}, "30m", {"reason": "too_late"})],
        silent=[Case({'switchboard_occurrences_missed_total{reason="overlap"}': "0+1x90", 'switchboard_occurrences_missed_total{reason="late"}': "4x90"}, "80m", why="overlap is the reminder's own setting")],
    ),
    Alert(
        "RunsFailing", "ticket", "0m",
        """
        sum by ($BY) (increase(switchboard_runs_ended_total{status="failed"}[1h])) > 5
        and
        sum by ($BY) (increase(switchboard_runs_ended_total{status="failed"}[1h]))
          > 0.5 * sum by ($BY) (increase(switchboard_runs_ended_total[1h]))
        """,
        "Most runs of reminders fail",
        "{{ $value | humanize }} runs failed within the last hour, more than half of all. Each run tells why: `GET /v1/runs?status=failed`.",
        ("accounts", 19),
        fires=[Case({'switchboard_runs_ended_total{status="failed"}': "0+1x90", 'switchboard_runs_ended_total{status="success"}': "0x90"}, "70m")],
        silent=[Case({'switchboard_runs_ended_total{status="failed"}': "0+1x90", 'switchboard_runs_ended_total{status="success"}': "0+5x90"}, "70m")],
    ),
    Alert(
        "DutyFailing", "ticket", "0m",
        'sum by ($BY, duty) (increase(switchboard_duty_runs_total{outcome="error"}[30m])) >= 3',
        "The duty {{ $labels.duty }} of the scheduler fails",
        "{{ $value | humanize }} runs of {{ $labels.duty }} ended with an error within half an hour; the scheduler's log names it.",
        ("internals", 16),
        fires=[Case({RUNS % "error": "0+1x40", RUNS % "ok": "0+4x40"}, "35m", {"duty": "fire_reminders"})],
        silent=[Case({RUNS % "error": "0x20 1x40", RUNS % "ok": "0+4x40"}, "35m", why="once is a hiccup")],
    ),
    Alert(
        "DutyNotRun", "page", "5m",
        f"""
        time() - max by ($BY, duty) (switchboard_duty_last_success_timestamp_seconds{{duty!~"{SLOW}"}}) > 300
        or
        time() - max by ($BY, duty) (switchboard_duty_last_success_timestamp_seconds{{duty=~"{SLOW}"}}) > 3600
        """,
        "The duty {{ $labels.duty }} has not succeeded for too long",
        "No scheduler has carried out {{ $labels.duty }} for {{ $value | humanizeDuration }}. fire_reminders fires reminders, ring_again finds lost bells, "
        "expire_messages and finish_deletes end what is over, prune removes what is old.",
        ("internals", 18),
        fires=[
            Case({LAST % "fire_reminders": "0+60x10 600x30"}, "25m", {"duty": "fire_reminders"}),
            Case({LAST % "prune": "0x120"}, "80m", {"duty": "prune"}, why="never since the start"),
        ],
        silent=[
            Case({LAST % "fire_reminders": "0+60x60"}, "25m"),
            Case({LAST % "prune": "600x60"}, "40m", why="it runs every ten minutes, and half an hour is soon enough"),
            Case({LAST % "fire_reminders": "600x40", 'switchboard_duty_last_success_timestamp_seconds{duty="fire_reminders",instance="s2"}': "0+60x40"}, "25m", why="another scheduler does it"),
        ],
    ),
]

THEME = Theme("reminders", "Reminders and duties", ALERTS)
