-- snapshot reads everything that adds up to the rows, in one moment.
-- Answers: the campaign's fields, the rows open, how many
-- wait for their time, the rows that a person decides about, the time.
return {redis.call('HGETALL', CAMPAIGN), redis.call('ZRANGE', OPEN, 0, -1, 'WITHSCORES'),
  redis.call('ZCARD', LATER), redis.call('ZRANGE', REVIEW, 0, -1, 'WITHSCORES'), int(now)}
