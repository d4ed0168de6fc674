-- The pairing under way at an account: how a phone is to be linked, until when, and the code that is shown. The row begins with the
-- pairing, is replaced when the pairing starts over, and goes when the account is not `pending` any more.
SET LOCAL lock_timeout = '2s';

-- Codes stand in `pairings` now, and so do the method and the window that each pairing has.
ALTER TABLE accounts
    DROP CONSTRAINT accounts_check1,
    DROP CONSTRAINT accounts_check2,
    ADD CONSTRAINT accounts_unpaired_check CHECK (status <> 'unpaired' OR phone_number IS NULL);

CREATE TABLE pairings (
    account_id     uuid PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    method         text NOT NULL CHECK (method IN ('qr', 'code')),
    phone          text, -- at method `code`: digits of the phone that gets the code
    window_ends_at timestamptz NOT NULL, -- if no phone is linked by then, the pairing ends
    qr_text        text,
    qr_number      integer, -- counts the codes of this pairing, from 1
    qr_expires_at  timestamptz,
    code           text -- at method `code`: eight characters to type on the phone
);
INSERT INTO pairings (account_id, method, phone, window_ends_at, qr_text, qr_number, qr_expires_at, code)
SELECT id, pairing_method, pairing_phone, pairing_expires_at, qr_text, qr_number, qr_expires_at, pairing_code
FROM accounts WHERE status = 'pending';

-- A pairing ends with its account's status `pending`, whichever statement changes that.
CREATE FUNCTION end_pairing() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM pairings WHERE account_id = NEW.id;
    RETURN NULL;
END $$;
CREATE TRIGGER end_pairing AFTER UPDATE OF status ON accounts
    FOR EACH ROW WHEN (OLD.status = 'pending' AND NEW.status <> 'pending') EXECUTE FUNCTION end_pairing();

-- An account that is `pending` has a pairing when its transaction ends.
CREATE FUNCTION pending_has_pairing() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM accounts WHERE id = NEW.id AND status = 'pending')
       AND NOT EXISTS (SELECT FROM pairings WHERE account_id = NEW.id) THEN
        RAISE check_violation USING MESSAGE = 'the account is pending, and has no pairing';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER pending_has_pairing AFTER INSERT OR UPDATE OF status ON accounts DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.status = 'pending') EXECUTE FUNCTION pending_has_pairing();

-- What a pairing waits for, and what the phone's owner must do for it. No row: no pairing is under way, or a phone has accepted.
CREATE VIEW pairing_steps AS
SELECT p.account_id, CASE WHEN k.account_id IS NULL THEN p.method ELSE 'passkey' END AS step, k.advice,
       CASE WHEN NOT k.presented AND k.credential IS NULL THEN k.options END AS passkey_options, k.code AS passkey_code
FROM pairings p JOIN accounts a ON a.id = p.account_id
LEFT JOIN (passkeys k JOIN leases l ON l.account_id = k.account_id AND l.epoch = k.epoch) ON k.account_id = p.account_id
WHERE a.jid IS NULL;

-- All below goes with the columns in the next release. The release before this one keeps the pairing in columns of `accounts`. Until it
-- is gone both say the same: each trigger carries over what a statement has written, and nothing that the other one carried over.
CREATE FUNCTION accounts_to_pairings() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO pairings (account_id, method, phone, window_ends_at, qr_text, qr_number, qr_expires_at, code)
    VALUES (NEW.id, NEW.pairing_method, NEW.pairing_phone, NEW.pairing_expires_at, NEW.qr_text, NEW.qr_number, NEW.qr_expires_at,
            NEW.pairing_code)
    ON CONFLICT (account_id) DO UPDATE
    SET (method, phone, window_ends_at, qr_text, qr_number, qr_expires_at, code) =
        (EXCLUDED.method, EXCLUDED.phone, EXCLUDED.window_ends_at, EXCLUDED.qr_text, EXCLUDED.qr_number, EXCLUDED.qr_expires_at,
         EXCLUDED.code);
    RETURN NULL;
END $$;
-- this release names none of these columns
CREATE TRIGGER accounts_to_pairings
    AFTER UPDATE OF pairing_method, pairing_phone, pairing_expires_at, qr_text, qr_number, qr_expires_at, pairing_code ON accounts
    FOR EACH ROW WHEN (pg_trigger_depth() = 0 AND NEW.status = 'pending') EXECUTE FUNCTION accounts_to_pairings();

CREATE FUNCTION pairings_to_accounts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- a row that goes is carried over from within `end_pairing`, too; NEW is null then
    IF TG_OP = 'DELETE' OR pg_trigger_depth() = 1 THEN
        UPDATE accounts
        SET pairing_method = NEW.method, pairing_phone = NEW.phone, pairing_expires_at = NEW.window_ends_at, qr_text = NEW.qr_text,
            qr_number = NEW.qr_number, qr_expires_at = NEW.qr_expires_at, pairing_code = NEW.code
        WHERE id = coalesce(NEW.account_id, OLD.account_id);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER pairings_to_accounts AFTER INSERT OR UPDATE OR DELETE ON pairings
    FOR EACH ROW EXECUTE FUNCTION pairings_to_accounts();
