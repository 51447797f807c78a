-- How fleet migrations went.

CREATE TABLE fleet_runs (
  id uuid PRIMARY KEY,
  target_version int NOT NULL,
  started_at timestamptz NOT NULL,
  finished_at timestamptz,
  migrated int NOT NULL DEFAULT 0,
  failed int NOT NULL DEFAULT 0,
  stopped_because text
);

CREATE TABLE fleet_failures (
  run_id uuid NOT NULL REFERENCES fleet_runs,
  tenant_id bigint NOT NULL,
  version int NOT NULL,
  error text NOT NULL,
  at timestamptz NOT NULL,
  PRIMARY KEY (run_id, tenant_id)
);
