-- How often a message, alone on its way, ended a connection without an answer: after a few times it is given up. `attempts`, which
-- said that before, counts every hand-over to WhatsApp now.
-- Everybody writes this table: whoever waits for it is not kept waiting.
SET LOCAL lock_timeout = '500ms';
ALTER TABLE messages ADD COLUMN blamed integer NOT NULL DEFAULT 0;
