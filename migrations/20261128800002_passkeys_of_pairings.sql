-- A passkey gate belongs to the pairing that it stands in the way of, and goes with it. What is left of pairings that are over goes now.
SET LOCAL lock_timeout = '2s';
LOCK TABLE pairings, passkeys IN SHARE ROW EXCLUSIVE MODE; -- a pairing that ends meanwhile would take its row from under the key
DELETE FROM passkeys k WHERE NOT EXISTS (SELECT FROM pairings WHERE account_id = k.account_id);
ALTER TABLE passkeys ADD CONSTRAINT passkeys_pairing_fkey FOREIGN KEY (account_id) REFERENCES pairings (account_id) ON DELETE CASCADE;
