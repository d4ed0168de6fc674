-- Events are written in one place, whatever they come with: a statement that changes rows calls this with what it has to tell, so
-- that both happen or neither.
CREATE TYPE new_event AS (tenant_id uuid, account_id uuid, kind text, data jsonb, trace text);

-- Writes them in their order, and answers how many there were. None (null) are none.
CREATE FUNCTION write_events(told new_event[]) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE written bigint;
BEGIN
    INSERT INTO events (tenant_id, account_id, kind, data, trace) SELECT * FROM unnest(told);
    GET DIAGNOSTICS written = ROW_COUNT;
    RETURN written;
END $$;
