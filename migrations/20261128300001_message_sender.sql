-- The phone that a message was accepted for: it goes out from no other. Digits, as accounts.phone_number; none: the account was
-- being paired anew, and the message goes out from whatever phone is linked next. Rows of before have none, either.
ALTER TABLE messages ADD COLUMN sender text CHECK (sender ~ '^[0-9]{5,20}$');
