-- What a request with an Idempotency-Key was answered, written in the transaction of what the request did: a request that is
-- repeated gets the same answer, and one that died before its commit left nothing. `tenant_id` is null for the operator's own
-- requests. `body` of a sealed answer opens with the API key that it was given to (it holds a secret).
-- The release before writes `idempotency_keys`, for messages alone; that table goes when no such release runs any more.
CREATE TABLE answers (
    tenant_id  uuid REFERENCES tenants (id) ON DELETE CASCADE,
    key        text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    request    bytea NOT NULL CHECK (octet_length(request) = 32), -- SHA-256 of method, path and body
    status     smallint CHECK (status BETWEEN 200 AND 299),
    location   text,
    body       bytea,
    sealed     boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE NULLS NOT DISTINCT (tenant_id, key)
);
CREATE INDEX answers_age ON answers (created_at);
