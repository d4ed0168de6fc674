-- What workers need to know of each other to share the accounts fairly and to move each device once in a rolling release.
ALTER TABLE workers
    ADD COLUMN release text NOT NULL DEFAULT '',
    ADD COLUMN held    integer NOT NULL DEFAULT 0,          -- accounts it held at its last heartbeat
    ADD COLUMN leaving boolean NOT NULL DEFAULT false;      -- it is stopping: nobody reckons with it any more

-- When the account was given back last; what has waited long enough is taken by whoever has room.
ALTER TABLE leases ADD COLUMN released_at timestamptz;
ALTER TABLE leases ALTER COLUMN released_at SET DEFAULT now(); -- a new account has just become free
CREATE INDEX leases_unowned ON leases (account_id) WHERE owner IS NULL;
