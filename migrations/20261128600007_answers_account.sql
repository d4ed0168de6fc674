-- Whose account a kept answer is about: it goes with the account, as do the texts in it.
SET LOCAL lock_timeout = '500ms';
ALTER TABLE answers ADD COLUMN account_id uuid REFERENCES accounts (id) ON DELETE CASCADE;
CREATE INDEX answers_account ON answers (account_id) WHERE account_id IS NOT NULL;
