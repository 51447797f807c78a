-- A meter may count for those subscriptions of its plan only that are paid by the hour.

-- contract: the list of who tells grows by hours
ALTER TABLE meters DROP CONSTRAINT meters_feeds;
ALTER TABLE meters ADD CONSTRAINT meters_known_feeds CHECK (feed IN ('api', 'power', 'traffic', 'life', 'hours'));
