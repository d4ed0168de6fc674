-- When a text of a run was first handed to its account's connection, written before that happens: whoever edits the reminder or
-- cancels the run knows what has left. Null: it has not, or it belongs to no run, or a worker of the release before sent it.
-- Everybody writes this table: whoever waits for it is not kept waiting.
SET LOCAL lock_timeout = '500ms';
ALTER TABLE messages ADD COLUMN handed_at timestamptz;
