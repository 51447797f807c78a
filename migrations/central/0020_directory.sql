-- What the nodes' memory of hosts and tenants must hear of. One row a tenant, stamped
-- with the transaction that last changed what a request needs to know about it. A node
-- that asks "what happened since my last snapshot" can miss nothing, whether or not a
-- notification reached it and in whatever order transactions commit.
CREATE TABLE directory_changes (
  tenant_id bigint PRIMARY KEY,
  changed_in xid8 NOT NULL
);
CREATE INDEX directory_changes_by_xid ON directory_changes (changed_in);

-- SECURITY DEFINER: whoever may change a tenant need not be allowed to notify.
CREATE FUNCTION note_directory_change(tenant bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  INSERT INTO central.directory_changes (tenant_id, changed_in) VALUES (tenant, pg_current_xact_id())
  ON CONFLICT (tenant_id) DO UPDATE SET changed_in = excluded.changed_in;
  PERFORM pg_notify('ezscale_directory', 'tenant ' || tenant);
END $$;
REVOKE EXECUTE ON FUNCTION note_directory_change FROM PUBLIC;

CREATE FUNCTION tenant_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM central.note_directory_change(coalesce(NEW.id, OLD.id));
  RETURN NULL;
END $$;

CREATE FUNCTION domain_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF TG_OP <> 'INSERT' THEN
    PERFORM central.note_directory_change(OLD.tenant_id);
  END IF;
  IF TG_OP <> 'DELETE' AND (TG_OP = 'INSERT' OR NEW.tenant_id <> OLD.tenant_id) THEN
    PERFORM central.note_directory_change(NEW.tenant_id);
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER directory_hears_of_tenants AFTER INSERT OR DELETE ON tenants
  FOR EACH ROW EXECUTE FUNCTION tenant_changed();
-- A fleet migration moves every tenant's schema_version; nodes need not hear of that.
CREATE TRIGGER directory_hears_of_changes AFTER UPDATE ON tenants
  FOR EACH ROW WHEN ((OLD.slug, OLD.name, OLD.status, OLD.status_note, OLD.sandbox, OLD.primary_host, OLD.theme,
    OLD.brand_version, OLD.content_version, OLD.migration_error IS NULL, OLD.locale, OLD.currency, OLD.time_zone, OLD.require_totp)
  IS DISTINCT FROM (NEW.slug, NEW.name, NEW.status, NEW.status_note, NEW.sandbox, NEW.primary_host, NEW.theme,
    NEW.brand_version, NEW.content_version, NEW.migration_error IS NULL, NEW.locale, NEW.currency, NEW.time_zone, NEW.require_totp))
  EXECUTE FUNCTION tenant_changed();

CREATE TRIGGER directory_hears_of_domains AFTER INSERT OR DELETE ON domains
  FOR EACH ROW EXECUTE FUNCTION domain_changed();
CREATE TRIGGER directory_hears_of_serving AFTER UPDATE ON domains
  FOR EACH ROW WHEN ((OLD.tenant_id, OLD.host, OLD.serving) IS DISTINCT FROM (NEW.tenant_id, NEW.host, NEW.serving))
  EXECUTE FUNCTION domain_changed();
