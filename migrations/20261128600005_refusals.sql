-- A receiver that refuses everything (401, 404) fails as one that is not there (R97): attempts that it refused since the last that
-- succeeded. They set `failing_since`, and do not have it left alone as one that is down.
SET LOCAL lock_timeout = '2s';
ALTER TABLE webhooks DROP CONSTRAINT webhooks_check2, ADD COLUMN refusals integer NOT NULL DEFAULT 0;
