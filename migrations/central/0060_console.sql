-- How a tenant came to its status, for the people who look after it.
ALTER TABLE tenants ADD COLUMN status_since timestamptz;              -- null: since it was made
ALTER TABLE tenants ADD COLUMN status_by text NOT NULL DEFAULT '';     -- the name of who changed it
ALTER TABLE tenants ADD COLUMN status_reason text NOT NULL DEFAULT ''; -- for staff; visitors read status_note
ALTER TABLE tenants ADD COLUMN status_before text;                    -- what maintenance interrupted
ALTER TABLE tenants ADD COLUMN drop_requested_at timestamptz;         -- the data is being exported and removed

CREATE INDEX tenants_trials ON tenants (trial_ends_at) WHERE status = 'trial';
