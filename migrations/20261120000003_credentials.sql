-- Session credentials and Signal state, sealed; every write is fenced by leases.epoch (R02, R04).
CREATE TABLE credentials (
    account_id uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    kind       smallint NOT NULL,
    name       text NOT NULL,
    -- a plain figure that queries need (a time in unix seconds, a flag); meaning depends on `kind`
    number     bigint NOT NULL DEFAULT 0,
    key_id     text NOT NULL,
    sealed     bytea NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, kind, name)
);
CREATE INDEX credentials_key ON credentials (key_id);

-- Facts that the whole installation shares, such as the current WhatsApp Web version.
CREATE TABLE settings (
    name       text PRIMARY KEY,
    value      jsonb NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);
