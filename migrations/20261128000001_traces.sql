-- The W3C traceparent of whatever made a row, so that its story goes on in another process; null when nobody traces it.
-- A column without a default changes no row; what is in use is tried again instead of keeping others waiting.
SET LOCAL lock_timeout = '500ms';
ALTER TABLE runs ADD COLUMN trace varchar(55);
ALTER TABLE messages ADD COLUMN trace varchar(55);
ALTER TABLE events ADD COLUMN trace varchar(55);
ALTER TABLE webhook_deliveries ADD COLUMN trace varchar(55); -- that of its event
