-- An operator asks that an account moves from one worker to another. The owner gives it back when it sees this, and for a
-- moment only the heir may take it. It counts only under the epoch that it names: the next claim makes it void, in this release
-- and in the one before, which does not know it.
SET LOCAL lock_timeout = '2s';
CREATE TABLE hand_overs (
    account_id uuid PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    epoch      bigint NOT NULL,
    owner      uuid NOT NULL,
    heir       uuid NOT NULL,
    asked_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX hand_overs_owner ON hand_overs (owner);
CREATE INDEX hand_overs_heir ON hand_overs (heir);
