-- A device can be logged out on WhatsApp's side while its account stays (R91): `unlinked` is the wish, and whether WhatsApp
-- confirmed it stands in the row afterwards.
SET LOCAL lock_timeout = '2s';
ALTER TABLE accounts
    DROP CONSTRAINT accounts_wanted_check,
    ADD CONSTRAINT accounts_wanted_check CHECK (wanted IN ('online', 'offline', 'erased', 'unlinked')),
    ADD COLUMN logout_confirmed boolean NOT NULL DEFAULT false;

-- Nothing of a phone stays in an account that has none (R92): one statement for every way in which a link ends, also for those of
-- the release before.
CREATE FUNCTION forget_phone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.phone_number := NULL;
    NEW.jid := NULL;
    NEW.lid := NULL;
    NEW.push_name := NULL;
    RETURN NEW;
END $$;
CREATE TRIGGER forget_phone BEFORE INSERT OR UPDATE OF status, phone_number, jid, lid, push_name ON accounts
    FOR EACH ROW WHEN (NEW.status IN ('unpaired', 'logged_out')) EXECUTE FUNCTION forget_phone();
UPDATE accounts SET lid = NULL, push_name = NULL
WHERE status IN ('unpaired', 'logged_out') AND (phone_number, jid, lid, push_name) IS DISTINCT FROM (NULL, NULL, NULL, NULL);
