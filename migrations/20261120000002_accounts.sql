-- A WhatsApp account of a tenant: what it is (`status`), what it should be (`wanted`), and the pairing under way.
CREATE TABLE accounts (
    id                 uuid PRIMARY KEY,
    tenant_id          uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    label              text NOT NULL CHECK (length(label) BETWEEN 1 AND 100),
    status             text NOT NULL DEFAULT 'unpaired'
        CHECK (status IN ('unpaired', 'pending', 'connected', 'disconnected', 'logged_out', 'banned')),
    status_reason      text,
    wanted             text NOT NULL DEFAULT 'offline' CHECK (wanted IN ('online', 'offline', 'erased')),
    -- digits of the linked phone; null while nothing is linked (R16)
    phone_number       text CHECK (phone_number ~ '^[0-9]{5,20}$'),
    jid                text,
    lid                text,
    push_name          text,
    -- raised by every pair, unpair and delete: events of an older generation are dropped by number (R27)
    generation         bigint NOT NULL DEFAULT 0,
    pairing_method     text CHECK (pairing_method IN ('qr', 'code')),
    pairing_phone      text,
    pairing_expires_at timestamptz,
    qr_text            text,
    qr_number          integer,
    qr_expires_at      timestamptz,
    pairing_code       text,
    linked_at          timestamptz, -- set once it has been linked, kept for good (R18)
    connected_at       timestamptz,
    disconnected_at    timestamptz,
    banned_until       timestamptz,
    held_until         timestamptz, -- WhatsApp's reach-out time-lock: sends wait, nothing fails
    groups_wanted_at   timestamptz, -- a group sync was asked for and has not been answered yet
    groups_synced_at   timestamptz,
    created_at         timestamptz NOT NULL DEFAULT now(),
    updated_at         timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, id),
    CHECK (status <> 'connected' OR phone_number IS NOT NULL),
    CHECK (status <> 'unpaired' OR (phone_number IS NULL AND qr_text IS NULL AND pairing_code IS NULL)),
    CHECK (status <> 'pending' OR (pairing_method IS NOT NULL AND pairing_expires_at IS NOT NULL))
);
CREATE UNIQUE INDEX accounts_linked_number ON accounts (tenant_id, phone_number) WHERE phone_number IS NOT NULL;
CREATE INDEX accounts_list ON accounts (tenant_id, created_at, id);
CREATE INDEX accounts_wanted ON accounts (wanted, id) WHERE wanted <> 'offline';

-- The fence: narrow, so that `FOR SHARE` never touches the wide account row. One row per account, made with it.
CREATE TABLE leases (
    account_id uuid PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    epoch      bigint NOT NULL DEFAULT 0,
    owner      uuid,
    claimed_at timestamptz
);
CREATE INDEX leases_owner ON leases (owner) WHERE owner IS NOT NULL;

-- One row per worker boot: its heartbeat decides whether its leases may be claimed by another.
CREATE TABLE workers (
    id         uuid PRIMARY KEY,
    name       text NOT NULL,
    version    text NOT NULL,
    capacity   integer NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    last_seen  timestamptz NOT NULL DEFAULT now(),
    stopped_at timestamptz
);
CREATE INDEX workers_last_seen ON workers (last_seen);

-- Groups as WhatsApp last told them (R35).
CREATE TABLE groups (
    tenant_id  uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    account_id uuid NOT NULL,
    jid        text NOT NULL,
    subject    text NOT NULL,
    size       integer NOT NULL,
    can_post   boolean NOT NULL,
    synced_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, jid),
    FOREIGN KEY (tenant_id, account_id) REFERENCES accounts (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX groups_tenant ON groups (tenant_id, account_id, jid);
