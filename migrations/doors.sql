-- Rights and doors, run as the owner of the database after the central
-- migrations; every statement may be repeated. Each function here is a door: it
-- runs as its owner, with a locked search path, and stamps the tenant itself.

REVOKE ALL ON SCHEMA public FROM PUBLIC;
CREATE SCHEMA IF NOT EXISTS door;
GRANT USAGE ON SCHEMA door TO PUBLIC;

-- Who is bound? session_user is the lane and current_user the door's owner, but the
-- setting "role" still names the tenant inside a SECURITY DEFINER function.
CREATE OR REPLACE FUNCTION door.tenant() RETURNS bigint LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE r text := current_setting('role');
BEGIN
  IF r !~ '^t_[1-9][0-9]{0,9}$' THEN
    RAISE insufficient_privilege USING MESSAGE = 'no tenant is bound';
  END IF;
  RETURN substr(r, 3)::bigint;
END $$;

-- The bound tenant's own clock; null: it has none and follows the program's.
CREATE OR REPLACE FUNCTION door.clock() RETURNS timestamptz LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE t bigint := door.tenant();
BEGIN
  RETURN (SELECT w.now_at FROM central.twins w WHERE w.tenant_id = t);
END $$;

-- Records usage once a key. Answers whether it is new.
DROP FUNCTION IF EXISTS door.record_usage(text, text, text, bigint, timestamptz, jsonb);
CREATE OR REPLACE FUNCTION door.record_usage(key text, subject text, sku text, kind text, quantity bigint, at timestamptz, detail jsonb) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  INSERT INTO central.usage_events (tenant_id, key, subject, sku, kind, quantity, at, detail, recorded_at)
  VALUES (door.tenant(), record_usage.key, record_usage.subject, record_usage.sku, record_usage.kind, record_usage.quantity, record_usage.at, record_usage.detail,
    coalesce(door.clock(), now()))
  ON CONFLICT DO NOTHING;
  RETURN FOUND;
END $$;

-- Shows the platform how one of the tenant's services stands. A twin's run nowhere: they
-- are shown to nobody.
CREATE OR REPLACE FUNCTION door.show_service(service jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF door.clock() IS NOT NULL THEN RETURN; END IF;
  INSERT INTO central.services AS s (tenant_id, service_id, sku, label, platform_id, region, ref, desired, observed, problem, address, began_at, ended_at, changed_at,
    retail_minor, retail_currency, retail_cycle, addons)
  SELECT door.tenant(), r.id, r.sku, r.label, r.platform_id, r.region, r.ref, r.desired, r.observed, r.problem, r.address, r.began_at, r.ended_at, r.changed_at,
    r.retail_minor, r.retail_currency, r.retail_cycle, r.addons
  FROM jsonb_to_record(show_service.service) AS r(id uuid, sku text, label text, platform_id uuid, region text, ref text, desired text, observed text,
    problem text, address text, began_at timestamptz, ended_at timestamptz, changed_at timestamptz, retail_minor bigint, retail_currency text, retail_cycle text, addons jsonb)
  ON CONFLICT ON CONSTRAINT services_pkey DO UPDATE SET sku = excluded.sku, label = excluded.label, platform_id = excluded.platform_id, region = excluded.region,
    ref = excluded.ref, desired = excluded.desired, observed = excluded.observed, problem = excluded.problem, address = excluded.address,
    began_at = excluded.began_at, ended_at = excluded.ended_at, changed_at = excluded.changed_at,
    retail_minor = excluded.retail_minor, retail_currency = excluded.retail_currency, retail_cycle = excluded.retail_cycle, addons = excluded.addons
  WHERE s.changed_at <= excluded.changed_at;
END $$;

-- Tells the platform of money taken or given back, once a key.
DROP FUNCTION IF EXISTS door.record_revenue(text, text, text, bigint, timestamptz);
CREATE OR REPLACE FUNCTION door.record_revenue(events jsonb) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE t bigint := door.tenant(); recorded timestamptz := coalesce(door.clock(), now()); new bigint;
BEGIN
  INSERT INTO central.revenue_events (tenant_id, key, kind, currency, amount_minor, at, recorded_at)
  SELECT t, r.key, r.kind, r.currency, r.minor, r.at, recorded
  FROM jsonb_to_recordset(events) AS r(key text, kind text, currency text, minor bigint, at timestamptz)
  ON CONFLICT DO NOTHING;
  GET DIAGNOSTICS new = ROW_COUNT;
  RETURN new;
END $$;

-- Tells the platform that something happened to a payment in its own account at the gateway,
-- by the gateway's name for it. What, the gateway is asked; whose it is, too.
CREATE OR REPLACE FUNCTION door.tell_collected(ref text, at timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF length(tell_collected.ref) NOT BETWEEN 1 AND 255 THEN
    RAISE check_violation USING MESSAGE = 'this is no payment''s name';
  END IF;
  IF door.clock() IS NOT NULL THEN RETURN; END IF;
  INSERT INTO central.collected_news AS n (tenant_id, ref, told_at) VALUES (door.tenant(), tell_collected.ref, tell_collected.at)
  ON CONFLICT ON CONSTRAINT collected_news_pkey DO UPDATE SET told_at = greatest(n.told_at + interval '1 microsecond', excluded.told_at);
END $$;

-- Keeps a figure of the tenant where staff's overview reads it. A twin's business is none.
CREATE OR REPLACE FUNCTION door.set_figure(name text, currency text, value bigint, at timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF door.clock() IS NOT NULL THEN RETURN; END IF;
  INSERT INTO central.tenant_figures (tenant_id, name, currency, value, changed_at)
  VALUES (door.tenant(), set_figure.name, set_figure.currency, set_figure.value, set_figure.at)
  ON CONFLICT ON CONSTRAINT tenant_figures_pkey DO UPDATE SET value = excluded.value, changed_at = excluded.changed_at;
END $$;

-- Tells staff of something, once a key. Answers whether it is new. What happens in a twin
-- is told to nobody.
CREATE OR REPLACE FUNCTION door.raise_alert(id uuid, key text, kind text, text text, detail jsonb, at timestamptz) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE t bigint := door.tenant();
BEGIN
  IF length(raise_alert.kind) > 60 OR length(raise_alert.text) > 500 OR length(raise_alert.detail::text) > 4000 THEN
    RAISE check_violation USING MESSAGE = 'an alert is short';
  END IF;
  IF door.clock() IS NOT NULL THEN RETURN false; END IF;
  INSERT INTO central.alerts (id, key, tenant_id, kind, text, detail, at)
  VALUES (raise_alert.id, 'tenant ' || t || ' ' || raise_alert.key, t, raise_alert.kind, raise_alert.text, raise_alert.detail, raise_alert.at)
  ON CONFLICT DO NOTHING;
  RETURN FOUND;
END $$;

-- Puts the tenant on the agenda of a kind of work at due, and at no other time; null takes it off.
CREATE OR REPLACE FUNCTION door.set_agenda(kind text, due timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF set_agenda.due IS NULL THEN
    DELETE FROM central.agenda a WHERE a.tenant_id = door.tenant() AND a.kind = set_agenda.kind;
  ELSE
    INSERT INTO central.agenda (tenant_id, kind, due_at) VALUES (door.tenant(), set_agenda.kind, set_agenda.due)
    ON CONFLICT ON CONSTRAINT agenda_pkey DO UPDATE SET due_at = excluded.due_at;
  END IF;
END $$;

-- Puts the tenant on the agenda of a kind of work no later than due; what stands there
-- already and is earlier stays.
CREATE OR REPLACE FUNCTION door.advance_agenda(kind text, due timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  INSERT INTO central.agenda AS a (tenant_id, kind, due_at) VALUES (door.tenant(), advance_agenda.kind, advance_agenda.due)
  ON CONFLICT ON CONSTRAINT agenda_pkey DO UPDATE SET due_at = least(a.due_at, excluded.due_at);
END $$;

-- Tells every node that what anonymous pages show has changed. With a theme, a
-- brand was published.
CREATE OR REPLACE FUNCTION door.touch_site(theme text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE t bigint := door.tenant(); v bigint;
BEGIN
  UPDATE central.tenants x SET
    content_version = x.content_version + 1,
    brand_version = x.brand_version + (touch_site.theme IS NOT NULL)::int,
    theme = coalesce(touch_site.theme, x.theme),
    changed_at = now()
  WHERE x.id = t RETURNING x.content_version INTO v;
  PERFORM pg_notify('ezscale_directory', 'tenant ' || t);
  RETURN v;
END $$;

-- What a reseller may change of its own row: how the business is called and where it
-- is at home.
CREATE OR REPLACE FUNCTION door.settle_site(name text, locale text, currency text, time_zone text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE t bigint := door.tenant();
BEGIN
  UPDATE central.tenants x SET name = settle_site.name, locale = settle_site.locale, currency = settle_site.currency,
    time_zone = settle_site.time_zone, content_version = x.content_version + 1, changed_at = now()
  WHERE x.id = t AND x.status IN ('trial', 'active')
    AND length(settle_site.name) BETWEEN 1 AND 200 AND length(settle_site.locale) <= 35 AND length(settle_site.time_zone) <= 60;
  RETURN FOUND;
END $$;

-- Keeps the end of the tenant's audit chain where the tenant cannot reach it.
CREATE OR REPLACE FUNCTION door.anchor_audit(seq bigint, hash bytea) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  INSERT INTO central.audit_anchors (tenant_id, seq, hash) VALUES (door.tenant(), anchor_audit.seq, anchor_audit.hash)
  ON CONFLICT DO NOTHING;
END $$;

-- One of River's rows, written the way River writes it. The tenant goes into metadata,
-- from where the worker takes it, and into the unique key. A twin's job waits in a queue of
-- its own, by the twin's clock and in a state no worker looks for: whoever turns that clock
-- does it.
CREATE OR REPLACE FUNCTION door.enqueue(kind text, args jsonb, queue text, key text, at timestamptz) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE t bigint := door.tenant(); clock timestamptz := door.clock(); q text := coalesce(enqueue.queue, 'default'); id bigint;
BEGIN
  IF clock IS NOT NULL THEN q := 'twin-' || t; END IF;
  INSERT INTO river.river_job AS j (args, kind, max_attempts, metadata, queue, scheduled_at, state, unique_key, unique_states)
  VALUES (enqueue.args, enqueue.kind, 25, jsonb_build_object('tenant', t), q, coalesce(enqueue.at, clock, now()),
    (CASE WHEN clock IS NOT NULL THEN 'pending' WHEN enqueue.at > now() THEN 'scheduled' ELSE 'available' END)::river.river_job_state,
    sha256(convert_to(t || ' ' || enqueue.kind || ' ' || enqueue.key, 'UTF8')),
    CASE WHEN enqueue.key IS NOT NULL THEN B'11110101' END) -- all states but cancelled and discarded
  ON CONFLICT (unique_key) WHERE unique_key IS NOT NULL AND unique_states IS NOT NULL
    AND river.river_job_state_in_bitmask(unique_states, state) DO NOTHING
  RETURNING j.id INTO id;
  IF id IS NOT NULL AND enqueue.at IS NULL AND clock IS NULL THEN
    PERFORM pg_notify('river.river_insert', json_build_object('queue', q)::text);
  END IF;
  RETURN id;
END $$;

-- The same for many at once, in their order: a statement for each would cost the checks of
-- the queue's table once a job. Answers how many are new.
CREATE OR REPLACE FUNCTION door.enqueue_all(jobs jsonb) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE t bigint := door.tenant(); clock timestamptz := door.clock(); new bigint; awake text[]; q text;
BEGIN
  WITH added AS (
    INSERT INTO river.river_job AS j (args, kind, max_attempts, metadata, queue, scheduled_at, state, unique_key, unique_states)
    SELECT r.args, r.kind, 25, jsonb_build_object('tenant', t),
      CASE WHEN clock IS NULL THEN coalesce(r.queue, 'default') ELSE 'twin-' || t END, coalesce(r.at, clock, now()),
      (CASE WHEN clock IS NOT NULL THEN 'pending' WHEN r.at > now() THEN 'scheduled' ELSE 'available' END)::river.river_job_state,
      sha256(convert_to(t || ' ' || r.kind || ' ' || r.key, 'UTF8')),
      CASE WHEN r.key IS NOT NULL THEN B'11110101' END
    FROM ROWS FROM (jsonb_to_recordset(jobs) AS (kind text, args jsonb, queue text, key text, at timestamptz))
      WITH ORDINALITY AS r(kind, args, queue, key, at, place)
    ORDER BY r.place
    ON CONFLICT (unique_key) WHERE unique_key IS NOT NULL AND unique_states IS NOT NULL
      AND river.river_job_state_in_bitmask(unique_states, state) DO NOTHING
    RETURNING j.queue, j.state)
  SELECT count(*), array_agg(DISTINCT a.queue) FILTER (WHERE a.state = 'available') INTO new, awake FROM added a;
  FOREACH q IN ARRAY coalesce(awake, '{}') LOOP
    PERFORM pg_notify('river.river_insert', json_build_object('queue', q)::text);
  END LOOP;
  RETURN new;
END $$;

-- The same for the central plane: no tenant is stamped, so no tenant job can be forged.
CREATE OR REPLACE FUNCTION door.enqueue_central(kind text, args jsonb, queue text, key text, at timestamptz) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE q text := coalesce(enqueue_central.queue, 'default'); id bigint;
BEGIN
  IF current_setting('role') <> 'none' THEN
    RAISE insufficient_privilege USING MESSAGE = 'a tenant may not enqueue for the platform';
  END IF;
  INSERT INTO river.river_job AS j (args, kind, max_attempts, metadata, queue, scheduled_at, state, unique_key, unique_states)
  VALUES (enqueue_central.args, enqueue_central.kind, 25, '{}', q, coalesce(enqueue_central.at, now()),
    (CASE WHEN enqueue_central.at > now() THEN 'scheduled' ELSE 'available' END)::river.river_job_state,
    sha256(convert_to('central ' || enqueue_central.kind || ' ' || enqueue_central.key, 'UTF8')),
    CASE WHEN enqueue_central.key IS NOT NULL THEN B'11110101' END)
  ON CONFLICT (unique_key) WHERE unique_key IS NOT NULL AND unique_states IS NOT NULL
    AND river.river_job_state_in_bitmask(unique_states, state) DO NOTHING
  RETURNING j.id INTO id;
  IF id IS NOT NULL AND enqueue_central.at IS NULL THEN
    PERFORM pg_notify('river.river_insert', json_build_object('queue', q)::text);
  END IF;
  RETURN id;
END $$;
REVOKE EXECUTE ON FUNCTION door.enqueue_central FROM PUBLIC;

-- What the program knows about a tenant when it makes or finds it.
CREATE OR REPLACE FUNCTION door.tenant_row(tenant bigint) RETURNS jsonb LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
  SELECT jsonb_build_object('id', t.id, 'slug', t.slug, 'name', t.name, 'status', t.status, 'theme', t.theme,
    'primary_host', coalesce(t.primary_host, ''), 'brand_version', t.brand_version, 'content_version', t.content_version,
    'schema_version', t.schema_version, 'locale', t.locale, 'currency', t.currency, 'time_zone', t.time_zone, 'sandbox', t.sandbox)
  FROM central.tenants t WHERE t.id = tenant_row.tenant
$$;
REVOKE EXECUTE ON FUNCTION door.tenant_row FROM PUBLIC;

-- The version every spare must have to be handed out: where the last migration of the
-- fleet has brought the template. A spare that one left behind waits for the next.
CREATE OR REPLACE FUNCTION door.newest() RETURNS int LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
  SELECT coalesce((SELECT value::int FROM central.settings WHERE name = 'template_version'), 0)
$$;
REVOKE EXECUTE ON FUNCTION door.newest FROM PUBLIC;

-- Before a claim: the tenant an earlier one with the key made, whether the slug is
-- taken, and which lanes have spares. Only lanes may ask, and only unbound.
CREATE OR REPLACE FUNCTION door.may_claim(key text, slug text) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF current_setting('role') <> 'none' THEN
    RAISE insufficient_privilege USING MESSAGE = 'a tenant may not claim a tenant';
  END IF;
  RETURN jsonb_build_object(
    'tenant', (SELECT door.tenant_row(t.id) FROM central.tenants t WHERE t.key = may_claim.key),
    'taken', EXISTS (SELECT FROM central.tenants t WHERE t.slug = may_claim.slug AND t.status <> 'dropped'),
    'lanes', (SELECT coalesce(jsonb_agg(DISTINCT s.lane), '[]') FROM central.spares s WHERE s.schema_version >= (SELECT door.newest()))); -- asked once, not for each spare
END $$;
REVOKE EXECUTE ON FUNCTION door.may_claim FROM PUBLIC;

-- Takes a spare of the lane that asks, makes it a tenant and answers with its row.
-- Only lanes may call it, and only unbound. Null: the lane has no spare of the newest
-- version. A second
-- claim with the same key or slug is a unique violation. A claim with the key of a twin
-- that was asked for makes a sandbox and gives it to the twin at once: it is never anything
-- else.
CREATE OR REPLACE FUNCTION door.claim(key text, slug text, name text, owner_email text, status text,
  locale text, currency text, time_zone text, trial_ends_at timestamptz, at timestamptz) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE got bigint; version int; mine int := substr(session_user, 6)::int;
BEGIN
  IF current_setting('role') <> 'none' THEN
    RAISE insufficient_privilege USING MESSAGE = 'a tenant may not claim a tenant';
  END IF;
  DELETE FROM central.spares s WHERE s.id = (
    SELECT c.id FROM central.spares c WHERE c.lane = mine AND c.schema_version >= (SELECT door.newest()) ORDER BY c.id LIMIT 1 FOR UPDATE SKIP LOCKED)
  RETURNING s.id, s.schema_version INTO got, version;
  IF got IS NULL THEN RETURN NULL; END IF;
  INSERT INTO central.tenants (id, key, slug, name, owner_email, status, locale, currency, time_zone, trial_ends_at,
    schema_version, content_version, created_at, changed_at, sandbox)
  VALUES (got, claim.key, claim.slug, claim.name, claim.owner_email, claim.status, claim.locale, claim.currency,
    claim.time_zone, claim.trial_ends_at, version, 1, claim.at, claim.at, claim.key LIKE 'twin:%');
  IF claim.key LIKE 'twin:%' THEN
    UPDATE central.twins w SET tenant_id = got, changed_at = claim.at
    WHERE 'twin:' || w.id = claim.key AND w.tenant_id IS NULL AND w.state = 'making';
    IF NOT FOUND THEN
      RAISE insufficient_privilege USING MESSAGE = 'nobody asked for this twin';
    END IF;
  END IF;
  PERFORM pg_notify('ezscale_directory', 'tenant ' || got);
  RETURN door.tenant_row(got);
END $$;
REVOKE EXECUTE ON FUNCTION door.claim FROM PUBLIC;

-- Notes how far the schemas of some tenants of the asking lane have come, in the
-- transaction that brought them there. It fails, and the transaction with it, when one
-- no longer stands where the migrator believed.
DROP FUNCTION IF EXISTS door.migrated(bigint, int);
DROP FUNCTION IF EXISTS door.migrated(bigint, int, int);
CREATE OR REPLACE FUNCTION door.migrated(tenants bigint[], was int, version int) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
DECLARE noted int; more int;
BEGIN
  IF current_setting('role') <> 'none' OR EXISTS (
    SELECT FROM unnest(migrated.tenants) AS of (id) WHERE pg_has_role(session_user, 't_' || of.id, 'MEMBER') IS NOT TRUE) THEN
    RAISE insufficient_privilege USING MESSAGE = 'not a tenant of this lane';
  END IF;
  UPDATE central.tenants t SET schema_version = migrated.version, migration_error = NULL
  WHERE t.id = ANY (migrated.tenants) AND t.schema_version = migrated.was;
  GET DIAGNOSTICS noted = ROW_COUNT;
  IF noted = cardinality(migrated.tenants) THEN RETURN; END IF;
  UPDATE central.spares s SET schema_version = migrated.version -- a claim makes one of the other, in one transaction
  WHERE s.id = ANY (migrated.tenants) AND s.schema_version = migrated.was;
  GET DIAGNOSTICS more = ROW_COUNT;
  IF noted + more <> cardinality(migrated.tenants) THEN
    RAISE serialization_failure USING MESSAGE = 'the schema is at another version by now';
  END IF;
END $$;
REVOKE EXECUTE ON FUNCTION door.migrated FROM PUBLIC;
