-- Where the transaction ids of events start. A dump that is restored into another cluster brings events and cursors of
-- transactions which that cluster has yet to come to; a new era puts what is written from then on behind all of them.
-- Writers have the start in the default of `events.txid` (0: as it was), readers in this row; both change together, in one
-- transaction, while nobody writes events (`common/src/store/era.rs`).
CREATE TABLE event_era (
    sole     boolean PRIMARY KEY DEFAULT true CHECK (sole), -- one row
    starts   bigint NOT NULL CHECK (starts >= 0 AND starts % 4294967296 = 0), -- transaction ids of one era fill 32 bits
    begun_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO event_era (starts) VALUES (0);

-- Events of transactions below this are all there: none is added before them any more.
CREATE FUNCTION events_settled_below() RETURNS xid8 LANGUAGE sql STABLE AS
    $$ SELECT (pg_snapshot_xmin(pg_current_snapshot())::text::bigint + starts)::text::xid8 FROM event_era $$;
