-- Of a series whose numbers begin again each year: the year they are of, and how many documents
-- came before it. The place in the series, and its chain, go on over the years.
ALTER TABLE number_series ADD COLUMN year int;
ALTER TABLE number_series ADD COLUMN before bigint;
