-- What a reminder's rule leaves out, what becomes of times that clocks skip, and whose clocks its next time was computed with.
ALTER TABLE reminders
    ADD COLUMN on_gap       text NOT NULL DEFAULT 'shift' CHECK (on_gap IN ('shift', 'skip')),
    ADD COLUMN exdates      text[] NOT NULL DEFAULT '{}' CHECK (cardinality(exdates) <= 500), -- dates and wall-clock times
    ADD COLUMN tzdb_version text COLLATE "C"; -- of the zone data behind `next_fire_at`; null: not known
