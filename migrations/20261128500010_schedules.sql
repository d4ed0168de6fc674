-- What a start, several times of a day and a window may be. Releases before this one read and write `window_end`, in hours; the
-- minutes count where they say the same hour.
SET LOCAL lock_timeout = '2s';
ALTER TABLE reminders
    ADD COLUMN start_later      boolean NOT NULL DEFAULT false, -- clocks show `start_local` twice: the later time is meant
    ADD COLUMN times            smallint[] NOT NULL DEFAULT '{}' CHECK (cardinality(times) <= 48), -- minutes from midnight that no RRULE says
    ADD COLUMN window_start_min smallint CHECK (window_start_min BETWEEN 0 AND 1439),
    ADD COLUMN window_end_min   smallint CHECK (window_end_min BETWEEN 0 AND 1440); -- no later than the beginning: of the next day
