-- What a plan is made of and how it is delivered.

-- The wholesale product behind a plan; null: nothing is delivered by a platform.
ALTER TABLE plans ADD COLUMN sku text;
-- How many may still be sold; null: as many as the platform takes.
ALTER TABLE plans ADD COLUMN stock int CHECK (stock >= 0);
-- Where it is offered and with which images: {"regions": […], "images": […]}; null: all the wholesale product has.
ALTER TABLE plans ADD COLUMN delivery jsonb;
-- Longer words about a product, Markdown.
ALTER TABLE products ADD COLUMN description text;

-- What a customer may choose on top of a plan. A choice has one of its choices, a
-- quantity has exactly one, whose prices are those of one step.
CREATE TABLE options (
  id uuid PRIMARY KEY,
  product_id uuid NOT NULL REFERENCES products,
  code text NOT NULL CHECK (code ~ '^[a-z0-9]([a-z0-9_]{0,38}[a-z0-9])?$'),
  label text NOT NULL,
  help text NOT NULL,
  kind text NOT NULL CHECK (kind IN ('choice', 'quantity')),
  resource text NOT NULL CHECK (resource IN ('', 'cpu', 'memory_mb', 'disk_gb', 'traffic_gb', 'ipv4', 'backups')),
  minimum int NOT NULL,
  maximum int NOT NULL,
  step int NOT NULL CHECK (step > 0),
  choices jsonb NOT NULL, -- [{code, label, amount, prices: {EUR: {monthly: 500}}}]: amount in units of the resource, prices in minor units
  position int NOT NULL,
  visibility text NOT NULL CHECK (visibility IN ('public', 'hidden', 'archived')),
  created_at timestamptz NOT NULL,
  changed_at timestamptz NOT NULL,
  UNIQUE (product_id, code),
  CHECK (minimum >= 0 AND maximum >= minimum)
);

-- How the shop does business: one named value each (see tenant/settings).
CREATE TABLE shop_settings (
  name text PRIMARY KEY,
  value jsonb NOT NULL,
  changed_at timestamptz NOT NULL
);

-- The reseller's own words for a mail; without a row the built-in text is sent.
CREATE TABLE mail_texts (
  template text NOT NULL,
  locale text NOT NULL,
  subject text NOT NULL,
  body text NOT NULL, -- Liquid over Markdown
  changed_by text NOT NULL,
  changed_at timestamptz NOT NULL,
  PRIMARY KEY (template, locale)
);
