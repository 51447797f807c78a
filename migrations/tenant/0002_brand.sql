-- The brand in versions: one draft at most, one published, the rest history.
CREATE TABLE brand_versions (
  id uuid PRIMARY KEY,
  number int NOT NULL UNIQUE,
  state text NOT NULL CHECK (state IN ('draft', 'published', 'superseded')),
  theme text NOT NULL,
  tokens jsonb NOT NULL,      -- colours, font, radius, logo and favicon uploads
  texts jsonb NOT NULL,       -- what the shop says: headline, facts, questions, legal pages, sender
  custom_css text NOT NULL DEFAULT '',
  note text NOT NULL DEFAULT '',
  revision int NOT NULL DEFAULT 1, -- moves with every save of a draft
  based_on int NOT NULL DEFAULT 0, -- number of the version that was published when the draft was begun, or that was rolled back to
  stylesheet_hash text NOT NULL,   -- names the stylesheet this version made
  preview_hash bytea,         -- of the token in the preview link of a draft
  preview_expires_at timestamptz,
  created_by text NOT NULL,
  created_at timestamptz NOT NULL,
  changed_at timestamptz NOT NULL,
  published_at timestamptz,
  published_by text
);
CREATE UNIQUE INDEX brand_versions_one_draft ON brand_versions (state) WHERE state = 'draft';
CREATE UNIQUE INDEX brand_versions_one_published ON brand_versions (state) WHERE state = 'published';

CREATE TABLE uploads (
  id uuid PRIMARY KEY,
  purpose text NOT NULL,
  file_name text NOT NULL,
  media_type text NOT NULL,
  size_bytes bigint NOT NULL,
  width int NOT NULL,
  height int NOT NULL,
  sha256 bytea NOT NULL,
  storage_key text NOT NULL UNIQUE,
  created_by text NOT NULL,
  created_at timestamptz NOT NULL
);
