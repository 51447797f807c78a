-- What a sandbox's services are, in place of a platform: no real one is ever asked for
-- them. Empty in every shop that is no sandbox.
CREATE TABLE sandbox_servers (
  ref text PRIMARY KEY,
  key text NOT NULL UNIQUE, -- ours: what was created for it is found by it
  name text NOT NULL,
  status text NOT NULL CHECK (status IN ('active', 'suspended', 'gone')),
  power text NOT NULL CHECK (power IN ('on', 'off')),
  spec jsonb NOT NULL,
  changed_at timestamptz NOT NULL
);
