-- A meter may be told by what goes over a service's network.

-- contract: the list of who tells grows by traffic
ALTER TABLE meters DROP CONSTRAINT meters_feed_check;
ALTER TABLE meters ADD CONSTRAINT meters_known_feed CHECK (feed IN ('api', 'power', 'traffic'));
