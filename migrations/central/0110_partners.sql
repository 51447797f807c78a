-- The nodes must hear of a restriction within a second: what may be sold and changed
-- depends on it.
DROP TRIGGER directory_hears_of_changes ON tenants;
CREATE TRIGGER directory_hears_of_changes AFTER UPDATE ON tenants
  FOR EACH ROW WHEN ((OLD.slug, OLD.name, OLD.status, OLD.status_note, OLD.sandbox, OLD.primary_host, OLD.theme,
    OLD.brand_version, OLD.content_version, OLD.migration_error IS NULL, OLD.locale, OLD.currency, OLD.time_zone, OLD.require_totp, OLD.restriction)
  IS DISTINCT FROM (NEW.slug, NEW.name, NEW.status, NEW.status_note, NEW.sandbox, NEW.primary_host, NEW.theme,
    NEW.brand_version, NEW.content_version, NEW.migration_error IS NULL, NEW.locale, NEW.currency, NEW.time_zone, NEW.require_totp, NEW.restriction))
  EXECUTE FUNCTION tenant_changed();

-- What each channel was told of each alert. A channel that was told to wait is left alone
-- until then.
ALTER TABLE alert_channels ADD COLUMN paused_until timestamptz;
CREATE TABLE alert_deliveries (
  alert_id uuid NOT NULL REFERENCES alerts ON DELETE CASCADE,
  channel_id uuid NOT NULL REFERENCES alert_channels ON DELETE CASCADE,
  state text NOT NULL CHECK (state IN ('pending', 'sent', 'given_up')),
  tries int NOT NULL,
  next_try_at timestamptz NOT NULL,
  error text NOT NULL,
  changed_at timestamptz NOT NULL,
  PRIMARY KEY (alert_id, channel_id)
);
CREATE INDEX alert_deliveries_due ON alert_deliveries (next_try_at) WHERE state = 'pending';
CREATE INDEX alerts_unsent ON alerts (at) WHERE sent_at IS NULL;
