-- Reminders, their texts and targets, and the runs that fire them.
CREATE TABLE reminders (
    id            uuid PRIMARY KEY,
    tenant_id     uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    account_id    uuid NOT NULL,
    name          text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    status        text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'paused', 'failed', 'ended')),
    timezone      text NOT NULL,
    start_local   timestamp NOT NULL, -- wall-clock time in `timezone`
    rrule         text,               -- RFC 5545 without DTSTART; null: fires once
    recurrence    jsonb,              -- the structured spec it was built from, where there was one
    window_end    smallint CHECK (window_end BETWEEN 1 AND 24), -- hour in `timezone` at which sending stops
    version       integer NOT NULL DEFAULT 1, -- raised by each edit; runs of older versions never send (R44)
    next_fire_at  timestamptz,
    last_fired_at timestamptz,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, id),
    FOREIGN KEY (tenant_id, account_id) REFERENCES accounts (tenant_id, id) ON DELETE CASCADE,
    CHECK (next_fire_at IS NULL OR status = 'active')
);
CREATE INDEX reminders_list ON reminders (tenant_id, created_at, id);
CREATE INDEX reminders_account ON reminders (account_id);
CREATE INDEX reminders_due ON reminders (next_fire_at) WHERE next_fire_at IS NOT NULL;

CREATE TABLE reminder_messages (
    tenant_id   uuid NOT NULL,
    reminder_id uuid NOT NULL,
    position    integer NOT NULL,
    body        text NOT NULL CHECK (length(body) BETWEEN 1 AND 65536),
    PRIMARY KEY (reminder_id, position),
    FOREIGN KEY (tenant_id, reminder_id) REFERENCES reminders (tenant_id, id) ON DELETE CASCADE
);
CREATE TABLE reminder_targets (
    tenant_id   uuid NOT NULL,
    reminder_id uuid NOT NULL,
    position    integer NOT NULL,
    chat        text NOT NULL,
    PRIMARY KEY (reminder_id, position),
    UNIQUE (reminder_id, chat),
    FOREIGN KEY (tenant_id, reminder_id) REFERENCES reminders (tenant_id, id) ON DELETE CASCADE
);

-- A run outlives its reminder and its account: name and label are snapshots (R13, R47).
CREATE TABLE runs (
    id            uuid PRIMARY KEY,
    tenant_id     uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    reminder_id   uuid REFERENCES reminders (id) ON DELETE SET NULL,
    account_id    uuid REFERENCES accounts (id) ON DELETE SET NULL,
    reminder_name text NOT NULL,
    account_label text NOT NULL,
    version       integer NOT NULL,
    fire_at       timestamptz NOT NULL, -- the occurrence, as computed
    bodies        text[] NOT NULL,      -- the texts as they were when it fired
    status        text NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'running', 'success', 'partial', 'failed', 'paused', 'canceled', 'missed')),
    summary       text,
    created_at    timestamptz NOT NULL DEFAULT now(),
    finished_at   timestamptz,
    UNIQUE (reminder_id, fire_at), -- the singleton key: an occurrence fires once (R03)
    CHECK ((finished_at IS NULL) = (status IN ('pending', 'running', 'paused')))
);
CREATE INDEX runs_list ON runs (tenant_id, fire_at DESC, id DESC);
CREATE INDEX runs_open ON runs (status, created_at) WHERE status IN ('pending', 'running');

CREATE TABLE run_targets (
    tenant_id   uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    run_id      uuid NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    position    integer NOT NULL,
    chat        text NOT NULL,
    state       text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sent', 'failed', 'skipped')),
    reason      text,
    finished_at timestamptz,
    PRIMARY KEY (run_id, position),
    CHECK ((finished_at IS NULL) = (state = 'pending'))
);
