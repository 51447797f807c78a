-- The central plane: who the tenants are, where they live, who works here.

CREATE TABLE settings (
  name text PRIMARY KEY,
  value jsonb NOT NULL,
  changed_at timestamptz NOT NULL
);

-- Tenants are numbered once, for ever; schema and role are named by the number.
CREATE SEQUENCE tenant_numbers AS bigint MINVALUE 1 MAXVALUE 4294967295;

-- Built, migrated, empty schemas that wait to become a tenant. The row is the
-- commit point of building one.
CREATE TABLE spares (
  id bigint PRIMARY KEY,
  lane int NOT NULL,
  schema_version int NOT NULL,
  built_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX spares_by_lane ON spares (lane, id);

CREATE TABLE tenants (
  id bigint PRIMARY KEY CHECK (id BETWEEN 1 AND 4294967295),
  key text NOT NULL UNIQUE, -- natural key of the request that made it: the same request claims once
  slug text NOT NULL CHECK (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
  name text NOT NULL,
  status text NOT NULL CHECK (status IN ('trial', 'active', 'trial_ended', 'suspended', 'maintenance', 'archived', 'dropped')),
  status_note text NOT NULL DEFAULT '',
  sandbox boolean NOT NULL DEFAULT false,
  owner_email text NOT NULL,
  primary_host text, -- null: <slug>.<platform>
  theme text NOT NULL DEFAULT 'base',
  brand_version bigint NOT NULL DEFAULT 0,   -- moves when a brand is published
  content_version bigint NOT NULL DEFAULT 0, -- moves when anything an anonymous page shows changes
  schema_version int NOT NULL,
  migration_error text, -- not null: the last migration failed, the tenant is in maintenance
  locale text NOT NULL DEFAULT 'en',
  currency text NOT NULL DEFAULT 'EUR' CHECK (currency ~ '^[A-Z]{3}$'),
  time_zone text NOT NULL DEFAULT 'UTC',
  require_totp boolean NOT NULL DEFAULT false, -- staff policy: the reseller's team must use a second factor
  trial_ends_at timestamptz,
  archived_at timestamptz,
  drop_after timestamptz, -- end of the hold period of an archived tenant
  created_at timestamptz NOT NULL,
  changed_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX tenants_live_slug ON tenants (slug) WHERE status <> 'dropped';
CREATE INDEX tenants_behind ON tenants (schema_version);

-- Usage the tenants report through the door; wholesale billing owns what it means.
CREATE TABLE usage_events (
  tenant_id bigint NOT NULL,
  key text NOT NULL,
  sku text NOT NULL,
  kind text NOT NULL CHECK (kind IN ('start', 'change', 'stop', 'quantity')),
  quantity bigint NOT NULL,
  at timestamptz NOT NULL,
  detail jsonb NOT NULL DEFAULT '{}',
  recorded_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, key)
);
CREATE INDEX usage_events_by_time ON usage_events (at);

-- What is due where: a tick opens only the schemas that have something due.
CREATE TABLE agenda (
  tenant_id bigint NOT NULL,
  kind text NOT NULL,
  due_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, kind)
);
CREATE INDEX agenda_by_due ON agenda (kind, due_at);
