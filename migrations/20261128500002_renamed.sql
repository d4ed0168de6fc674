-- Edits that left alone what is sent, to whom, from where and when. `version` counts the others: runs of an older one never send.
-- The API shows the sum of both.
SET LOCAL lock_timeout = '2s';
ALTER TABLE reminders ADD COLUMN renamed integer NOT NULL DEFAULT 0;
