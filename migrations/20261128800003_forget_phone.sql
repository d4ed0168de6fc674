-- Nothing of a phone stays in an account that has none: neither its names nor how long WhatsApp holds it back or has banned it, nor a
-- wish for its groups. The groups stay until those of the next phone are read, since reminders go to them.
SET LOCAL lock_timeout = '2s';
CREATE OR REPLACE FUNCTION forget_phone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.phone_number := NULL;
    NEW.jid := NULL;
    NEW.lid := NULL;
    NEW.push_name := NULL;
    NEW.banned_until := NULL;
    NEW.held_until := NULL;
    NEW.groups_wanted_at := NULL;
    RETURN NEW;
END $$;
-- a pairing that begins, or starts over, is for a phone that is not known yet
CREATE TRIGGER forget_phone_before BEFORE UPDATE OF status ON accounts
    FOR EACH ROW WHEN (NEW.status = 'pending' AND NEW.wanted = 'online' AND NEW.generation > OLD.generation)
    EXECUTE FUNCTION forget_phone();
UPDATE accounts SET banned_until = NULL, held_until = NULL, groups_wanted_at = NULL
WHERE status IN ('unpaired', 'logged_out') AND (banned_until, held_until, groups_wanted_at) IS DISTINCT FROM (NULL, NULL, NULL);
