-- Whether this boot of a worker holds the lock on its name. The next boot under that name holds the lock only if this one is
-- dead. It gives back what the dead one owned, without waiting for leases (R111). Boots of the release before hold no lock,
-- and are left alone.
SET LOCAL lock_timeout = '2s';
ALTER TABLE workers ADD COLUMN holds_name boolean NOT NULL DEFAULT false;
