-- The phone that a message was accepted for: it goes out from no other. Digits, as accounts.phone_number; none: the account was
-- being paired anew, and the message goes out from whatever phone is linked next. Rows of before have none, either.
-- Everybody writes this table: whoever waits for it is not kept waiting, and no row is read for the constraint.
SET LOCAL lock_timeout = '500ms';
ALTER TABLE messages ADD COLUMN sender text;
ALTER TABLE messages ADD CONSTRAINT messages_sender CHECK (sender ~ '^[0-9]{5,20}$') NOT VALID;
