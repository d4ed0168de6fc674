-- How long a worker's heartbeat counts is told by the worker itself, in its row, so that whoever asks whether it lives asks by the
-- same number (R89). Workers of the release before this one do not say: theirs was 15 s unless set otherwise.
SET LOCAL lock_timeout = '2s';
ALTER TABLE workers ADD COLUMN lease_s double precision NOT NULL DEFAULT 15 CHECK (lease_s > 0);

-- Whether a worker lives: it has not stopped, and its last heartbeat is younger than a lease. The one rule for claims, duties
-- and answers.
CREATE FUNCTION is_alive(w workers) RETURNS boolean LANGUAGE sql STABLE
    RETURN w.stopped_at IS NULL AND w.last_seen > now() - make_interval(secs => w.lease_s);

-- One row per boot of a scheduler. It may be silent for 15 s.
CREATE TABLE schedulers (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    version text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    last_seen timestamptz NOT NULL DEFAULT now(),
    stopped_at timestamptz
);

-- What an account is at this moment: `connected` only while its lease is a living worker's (R90). Its row says what its last owner
-- wrote, until a duty has told that the owner is gone.
CREATE VIEW account_states AS
SELECT a.id,
       CASE WHEN a.status = 'connected' AND is_alive(w) IS NOT TRUE THEN 'disconnected' ELSE a.status END AS status,
       CASE WHEN a.status = 'connected' AND is_alive(w) IS NOT TRUE
            THEN 'the worker that held its connection fell silent' ELSE a.status_reason END AS status_reason
FROM accounts a LEFT JOIN leases l ON l.account_id = a.id LEFT JOIN workers w ON w.id = l.owner;
