-- The trail tells of everything that changes, not of accounts alone; it outlives its tenant, and is kept for as long as is said
-- (R95, R96).
SET LOCAL lock_timeout = '2s';
ALTER TABLE audit
    DROP CONSTRAINT audit_tenant_id_fkey,
    ALTER COLUMN tenant_id DROP NOT NULL, -- an admin's key belongs to no tenant
    ADD COLUMN subject text NOT NULL DEFAULT 'account' CHECK (subject IN ('account', 'tenant', 'key', 'webhook')),
    ADD COLUMN subject_id uuid,
    ADD COLUMN subject_name text;
CREATE INDEX audit_age ON audit (created_at);

-- A tenant's messages and trail may be kept for a shorter time than the installation's; null: as long.
ALTER TABLE tenants
    ADD COLUMN messages_kept_days integer CHECK (messages_kept_days BETWEEN 1 AND 3650),
    ADD COLUMN audit_kept_days integer CHECK (audit_kept_days BETWEEN 1 AND 3650);

-- Who made a webhook: a key's id, or `system:<part>`; null: made before this was kept.
ALTER TABLE webhooks ADD COLUMN created_by text;
