-- What happened, for live streams; `(txid, id)` is the order in which a reader may see them without gaps:
-- only events of transactions older than every running one are read.
CREATE TABLE events (
    tenant_id  uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    txid       xid8 NOT NULL DEFAULT pg_current_xact_id(),
    id         bigint GENERATED ALWAYS AS IDENTITY,
    account_id uuid, -- no foreign key: an event outlives its account
    kind       text NOT NULL,
    data       jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, txid, id)
);
CREATE INDEX events_age ON events (created_at);
-- WhatsApp hands a message out again when it was not told in time that it is stored: one event per message all the same.
CREATE INDEX events_received ON events (account_id, (data ->> 'whatsapp_id')) WHERE kind = 'message.received';

-- Every lifecycle step, by whom, and how it ended (R21). No foreign key to the account: the trail outlives it.
CREATE TABLE audit (
    id            uuid PRIMARY KEY,
    tenant_id     uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    account_id    uuid,
    account_label text,
    operator      text, -- the acting key's id, or `system:<part>`
    action        text NOT NULL,
    outcome       text NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX audit_list ON audit (tenant_id, created_at DESC, id DESC);
CREATE INDEX audit_account ON audit (account_id, created_at DESC) WHERE account_id IS NOT NULL;
