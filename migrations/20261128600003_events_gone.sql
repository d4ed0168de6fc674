-- Up to which position a tenant's events are removed: a reader that goes on from before it would miss some, and is told (R94).
-- None: nothing was removed since this was known.
SET LOCAL lock_timeout = '2s';
ALTER TABLE tenants ADD COLUMN events_gone_txid bigint, ADD COLUMN events_gone_id bigint;
