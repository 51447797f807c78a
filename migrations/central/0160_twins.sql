-- Sandbox twins: copies of a reseller's shop with a clock of their own.

-- One row a twin, from the moment it is asked for. The clock is here and nowhere else:
-- every transaction of the copy reads it (door.clock) as it begins.
CREATE TABLE twins (
  id uuid PRIMARY KEY,
  tenant_id bigint UNIQUE,       -- the copy; null: not claimed yet
  of_id bigint NOT NULL,         -- whose copy it is
  name text NOT NULL,
  state text NOT NULL CHECK (state IN ('making', 'ready', 'failed', 'dropping', 'dropped')),
  problem text NOT NULL,         -- why it failed, or what an advance stumbled over; empty: nothing
  options jsonb NOT NULL,        -- how it was made
  began_at timestamptz NOT NULL, -- its clock at the beginning
  now_at timestamptz NOT NULL,   -- and now: it moves when the twin is advanced, and never else
  from_at timestamptz,           -- the advance under way: from, to
  goal_at timestamptz,           -- null: it stands still
  grain_seconds int NOT NULL CHECK (grain_seconds BETWEEN 1 AND 86400), -- due moments within so long are taken together
  stop boolean NOT NULL,         -- somebody asked for the advance to end
  steps bigint NOT NULL,         -- moments it has stood at
  jobs bigint NOT NULL,          -- done for it
  failures bigint NOT NULL,      -- that failed for good
  worked_ms bigint NOT NULL,     -- real time spent on it
  created_by text NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL, -- then it is dropped
  changed_at timestamptz NOT NULL,
  CHECK (goal_at IS NULL OR from_at IS NOT NULL)
);
CREATE INDEX twins_by_origin ON twins (of_id) WHERE state <> 'dropped';
