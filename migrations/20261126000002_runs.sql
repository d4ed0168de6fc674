-- What becomes of late occurrences and of runs that would overlap; who paused a reminder; runs that go on by request.
-- Runs first, as everybody locks them, and without keeping others waiting: what is in use is tried again.
SET LOCAL lock_timeout = '2s';
ALTER TABLE runs
    ADD COLUMN resumed_at  timestamptz,  -- a paused run goes on since then (R48); its end lifts the reminder
    ADD COLUMN progress_at timestamptz;  -- the last event that told how far it is
ALTER TABLE reminders
    ADD COLUMN misfire          text NOT NULL DEFAULT 'latest' CHECK (misfire IN ('latest', 'all', 'skip')),
    ADD COLUMN catchup_window_s integer NOT NULL DEFAULT 3600 CHECK (catchup_window_s BETWEEN 60 AND 86400),
    ADD COLUMN overlap          text NOT NULL DEFAULT 'skip' CHECK (overlap IN ('skip', 'queue', 'allow')),
    ADD COLUMN paused_by_tenant boolean NOT NULL DEFAULT false; -- no run's end lifts such a pause
CREATE INDEX runs_unfinished ON runs (reminder_id) WHERE finished_at IS NULL;
CREATE INDEX runs_age ON runs (finished_at) WHERE finished_at IS NOT NULL;

-- What a person is told about reminders and runs (R50). No foreign key to either: it outlives them.
CREATE TABLE notifications (
    id            uuid PRIMARY KEY,
    tenant_id     uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    kind          text NOT NULL CHECK (kind IN ('fired', 'paused', 'partial', 'failed', 'missed')),
    reminder_id   uuid,
    reminder_name text NOT NULL,
    run_id        uuid,
    body          text NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    read_at       timestamptz
);
CREATE INDEX notifications_list ON notifications (tenant_id, created_at DESC, id DESC);
CREATE INDEX notifications_unread ON notifications (tenant_id, created_at DESC, id DESC) WHERE read_at IS NULL;
CREATE INDEX notifications_age ON notifications (created_at);
