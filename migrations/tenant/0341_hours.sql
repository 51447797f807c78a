-- A meter may be told by the life of a subscription: from its begin to its end.

-- contract: the list of who tells grows by life
ALTER TABLE meters DROP CONSTRAINT meters_known_feed;
ALTER TABLE meters ADD CONSTRAINT meters_feeds CHECK (feed IN ('api', 'power', 'traffic', 'life'));
