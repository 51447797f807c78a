-- The nodes must hear of a restriction within a second: what may be sold and changed
-- depends on it.
DROP TRIGGER directory_hears_of_changes ON tenants;
CREATE TRIGGER directory_hears_of_changes AFTER UPDATE ON tenants
  FOR EACH ROW WHEN ((OLD.slug, OLD.name, OLD.status, OLD.status_note, OLD.sandbox, OLD.primary_host, OLD.theme,
    OLD.brand_version, OLD.content_version, OLD.migration_error IS NULL, OLD.locale, OLD.currency, OLD.time_zone, OLD.require_totp, OLD.restriction)
  IS DISTINCT FROM (NEW.slug, NEW.name, NEW.status, NEW.status_note, NEW.sandbox, NEW.primary_host, NEW.theme,
    NEW.brand_version, NEW.content_version, NEW.migration_error IS NULL, NEW.locale, NEW.currency, NEW.time_zone, NEW.require_totp, NEW.restriction))
  EXECUTE FUNCTION tenant_changed();
