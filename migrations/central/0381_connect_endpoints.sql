-- Where the platform's gateway tells of connected accounts, as the program registered it. One
-- without replaced_at is the endpoint; another took the place of the others, which are believed
-- for a while and then removed.
CREATE TABLE connect_endpoints (
  attempt int PRIMARY KEY,  -- names it to the gateway, so that it is registered once
  address text NOT NULL,
  ref text,                 -- the gateway's name; null: it is being registered
  sealed_secret bytea,      -- what its notifications are signed with
  replaced_at timestamptz,
  checked_at timestamptz,
  problem text NOT NULL,    -- what the last look found wrong; empty: nothing
  opened_at timestamptz NOT NULL,
  changed_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX connect_endpoints_one ON connect_endpoints ((replaced_at IS NULL)) WHERE replaced_at IS NULL;
