-- Where a tenant's events are posted to (R63). A webhook reads the events in order behind its cursor, as a live stream does;
-- the worker that is `owner` moves it, for as long as that worker's heartbeat is fresh.
CREATE TABLE webhooks (
    id                    uuid PRIMARY KEY,
    tenant_id             uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    url                   text NOT NULL CHECK (length(url) BETWEEN 1 AND 2048),
    kinds                 text[] NOT NULL DEFAULT '{}', -- kinds of events; empty: all
    secret                text NOT NULL,                -- signs; the API shows it once and never reads it back
    previous_secret       text,                         -- signs, too, until receivers know the new one
    previous_secret_until timestamptz,
    enabled               boolean NOT NULL DEFAULT true,
    disabled_reason       text,                         -- why the house disabled it; null: the tenant did
    failures              integer NOT NULL DEFAULT 0,   -- attempts that failed in a row
    failing_since         timestamptz,
    cursor_txid           bigint NOT NULL,              -- events up to here have become deliveries
    cursor_id             bigint NOT NULL,
    owner                 uuid,
    version               bigint NOT NULL DEFAULT 0,    -- changes, and calls that ask for an attempt at once
    created_at            timestamptz NOT NULL DEFAULT now(),
    updated_at            timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, id),
    CHECK (NOT enabled OR disabled_reason IS NULL),
    CHECK ((previous_secret IS NULL) = (previous_secret_until IS NULL)),
    CHECK ((failures = 0) = (failing_since IS NULL))
);
CREATE INDEX webhooks_list ON webhooks (tenant_id, created_at, id);

-- An event on its way to a webhook, and what became of it. Made in the statement that moves the cursor.
CREATE TABLE webhook_deliveries (
    id              uuid PRIMARY KEY,
    tenant_id       uuid NOT NULL,
    webhook_id      uuid NOT NULL,
    seq             bigint GENERATED ALWAYS AS IDENTITY, -- order within a webhook: that of the events
    event_txid      bigint, -- null: a test, which is no event
    event_id        bigint,
    account_id      uuid,
    kind            text NOT NULL,
    data            jsonb,  -- null once it was delivered: it may hold a message's text
    happened_at     timestamptz NOT NULL,
    state           text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'failed')),
    attempts        integer NOT NULL DEFAULT 0,
    holds           boolean NOT NULL DEFAULT true, -- those behind it in its lane wait for it
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    last_status     integer, -- the HTTP status of the last attempt, if there was an answer
    last_error      text,    -- one word of ours; never the answer's text
    created_at      timestamptz NOT NULL DEFAULT now(),
    finished_at     timestamptz,
    -- order is kept within an account: what has none goes together
    lane            uuid NOT NULL GENERATED ALWAYS AS
        (coalesce(account_id, '00000000-0000-0000-0000-000000000000'::uuid)) STORED,
    UNIQUE (webhook_id, event_txid, event_id), -- an event becomes one delivery
    FOREIGN KEY (tenant_id, webhook_id) REFERENCES webhooks (tenant_id, id) ON DELETE CASCADE,
    CHECK ((finished_at IS NULL) = (state = 'pending')),
    CHECK ((data IS NULL) = (state = 'delivered'))
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (webhook_id, next_attempt_at) WHERE state = 'pending';
CREATE INDEX webhook_deliveries_holding ON webhook_deliveries (webhook_id, lane, seq) WHERE state = 'pending' AND holds;
CREATE INDEX webhook_deliveries_passed ON webhook_deliveries (webhook_id, seq) WHERE state = 'pending' AND NOT holds;
CREATE INDEX webhook_deliveries_list ON webhook_deliveries (tenant_id, webhook_id, seq DESC);
CREATE INDEX webhook_deliveries_age ON webhook_deliveries (finished_at);
CREATE INDEX webhook_deliveries_left ON webhook_deliveries (next_attempt_at) WHERE state = 'pending';
