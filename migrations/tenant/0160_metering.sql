-- What is measured and billed by how much of it was used.

-- What a plan is billed by besides its price. A row is never changed but to be retired:
-- whoever bought a plan is billed by the meters it had then.
CREATE TABLE meters (
  id uuid PRIMARY KEY,
  plan_id uuid NOT NULL REFERENCES plans ON DELETE CASCADE,
  code text NOT NULL CHECK (code ~ '^[a-z0-9]([a-z0-9_]{0,38}[a-z0-9])?$'),
  name text NOT NULL,
  unit text NOT NULL, -- GB, user; of sessions always hour
  aggregation text NOT NULL CHECK (aggregation IN ('sum', 'max', 'last', 'unique', 'time_weighted', 'sessions')),
  attribute text NOT NULL, -- of an event: what is counted once, or names a session; empty: none
  step_minutes int NOT NULL CHECK (step_minutes >= 0), -- of sessions: each is rounded up to whole steps
  feed text NOT NULL CHECK (feed IN ('api', 'power')), -- who tells: programs, or the service being switched on and off
  model text NOT NULL CHECK (model IN ('graduated', 'volume', 'package')),
  package numeric CHECK (package > 0), -- units of one package
  included numeric NOT NULL CHECK (included >= 0),
  capped boolean NOT NULL, -- no more than what is included is taken
  tiers jsonb NOT NULL, -- [{up_to: "100", prices: {"EUR": {unit: "42.5", flat: 0}}}]: unit in minor units, as a decimal
  position int NOT NULL,
  created_at timestamptz NOT NULL,
  retired_at timestamptz
);
CREATE UNIQUE INDEX meters_of_plan ON meters (plan_id, code) WHERE retired_at IS NULL;

-- What was told, each event once. No key to subscriptions: they are looked up and locked
-- before events are added, and a check a row would cost more than the row.
CREATE TABLE usage_events (
  source text COLLATE "C" NOT NULL,
  id text COLLATE "C" NOT NULL,
  subscription_id uuid NOT NULL,
  meter_id uuid NOT NULL,
  at timestamptz NOT NULL,
  period_from timestamptz NOT NULL, -- of the total it is counted in
  value numeric NOT NULL,
  phase text NOT NULL, -- start or stop of a session; empty
  mark text NOT NULL,  -- the value of the meter's attribute; empty
  attributes jsonb,    -- null: none
  round int NOT NULL,  -- how often its period had been invoiced when it came
  recorded_at timestamptz NOT NULL,
  PRIMARY KEY (source, id)
);
CREATE INDEX usage_events_by_meter ON usage_events (subscription_id, meter_id, at);

-- What the events of a period come to, kept with them: the sum, the largest, the latest,
-- how many different; of sessions the steps of those that stopped; of a value that holds,
-- value times microseconds up to last_at. It can be made again from the events.
CREATE TABLE usage_totals (
  subscription_id uuid NOT NULL REFERENCES subscriptions,
  meter_id uuid NOT NULL REFERENCES meters,
  period_from timestamptz NOT NULL,
  period_to timestamptz NOT NULL,
  events bigint NOT NULL,
  quantity numeric NOT NULL,
  last_at timestamptz, -- of the latest event; null: none
  last_key text NOT NULL,
  last_value numeric NOT NULL, -- which holds from last_at, or from the period's beginning
  rounds int NOT NULL, -- how often it was invoiced
  late bigint NOT NULL, -- events that came since it was
  billed_minor bigint NOT NULL,
  PRIMARY KEY (subscription_id, meter_id, period_from)
);

-- What is counted once: a value within its period, and a session, which knows no period,
-- from its start to its stop.
CREATE TABLE usage_marks (
  subscription_id uuid NOT NULL,
  meter_id uuid NOT NULL,
  period_from timestamptz NOT NULL, -- of a session -infinity
  mark text COLLATE "C" NOT NULL,
  started_at timestamptz,
  stopped_at timestamptz,
  PRIMARY KEY (subscription_id, meter_id, period_from, mark)
);

ALTER TABLE subscriptions ADD COLUMN metered_at timestamptz; -- the meters of its plan at this time are its meters; null: when it was sold
ALTER TABLE subscriptions ADD COLUMN metered_to timestamptz; -- end of the month of usage that is invoiced next; null: nothing is metered
ALTER TABLE subscriptions ADD COLUMN spend jsonb; -- {limit_minor, stop}: what may be used a month; null: no limit

ALTER TABLE services ADD COLUMN on_since timestamptz; -- since when it is seen to be on; null: it is off

-- Which usage a line is of, and which of its period's invoices it stands on, from 0.
ALTER TABLE invoice_lines ADD COLUMN meter_id uuid;
ALTER TABLE invoice_lines ADD COLUMN usage_round int;

-- A program of the shop's own team acts for no account.
ALTER TABLE api_tokens ALTER COLUMN account_id DROP NOT NULL;
