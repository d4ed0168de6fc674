-- A person canceled the run: no edit of its reminder brings the occurrence back.
SET LOCAL lock_timeout = '2s';
ALTER TABLE runs ADD COLUMN stopped boolean NOT NULL DEFAULT false;
