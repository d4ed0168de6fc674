-- The outbox. A row keeps its place until WhatsApp's server has acknowledged it; `whatsapp_id` is chosen when the row is
-- written, so that a second try is the same message to whoever receives it.
CREATE TABLE messages (
    id           uuid PRIMARY KEY,
    tenant_id    uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    account_id   uuid NOT NULL,
    seq          bigint GENERATED ALWAYS AS IDENTITY, -- order within an account
    run_id       uuid REFERENCES runs (id) ON DELETE SET NULL,
    run_position integer,
    chat         text NOT NULL, -- canonical JID
    body         text NOT NULL CHECK (length(body) BETWEEN 1 AND 65536),
    whatsapp_id  text NOT NULL,
    state        text NOT NULL DEFAULT 'queued'
        CHECK (state IN ('queued', 'sent', 'delivered', 'read', 'failed', 'canceled', 'expired')),
    reason       text,
    attempts     integer NOT NULL DEFAULT 0,
    expires_at   timestamptz,
    created_at   timestamptz NOT NULL DEFAULT now(),
    sent_at      timestamptz,
    delivered_at timestamptz,
    read_at      timestamptz,
    failed_at    timestamptz,
    UNIQUE (account_id, whatsapp_id),
    FOREIGN KEY (tenant_id, account_id) REFERENCES accounts (tenant_id, id) ON DELETE CASCADE,
    CHECK (state NOT IN ('sent', 'delivered', 'read') OR sent_at IS NOT NULL),
    CHECK ((state IN ('failed', 'canceled', 'expired')) = (failed_at IS NOT NULL)),
    CHECK (run_id IS NULL OR run_position IS NOT NULL)
);
CREATE INDEX messages_outbox ON messages (account_id, seq) WHERE state = 'queued';
CREATE INDEX messages_list ON messages (tenant_id, account_id, seq DESC);
CREATE INDEX messages_run ON messages (run_id, run_position) WHERE run_id IS NOT NULL;

-- A request that carries an Idempotency-Key is answered once; the same key with another body is refused.
CREATE TABLE idempotency_keys (
    tenant_id   uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    key         text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    fingerprint bytea NOT NULL,
    resource_id uuid NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, key)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);
