-- Whose money the platform's account takes part in.

-- Accounts of their own that resellers have at the platform's gateway: one account is one
-- reseller's. A reseller who ended it gets another with the next attempt.
CREATE TABLE connected_accounts (
  tenant_id bigint PRIMARY KEY,
  account text UNIQUE, -- the gateway's name; null: it is being opened, or was ended
  attempt int NOT NULL,
  opened_at timestamptz NOT NULL,
  changed_at timestamptz NOT NULL
);
