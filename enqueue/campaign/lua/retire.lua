-- retire lets a campaign run out that has ended and waits for nobody. KEYS: the rows of
-- every load. ARGV: the number of loads that were seen, how long rows and the rest are kept (s).
-- Answers 1 where the feeder has nothing to do any more.
if not field('state') then
  return 1
end
if not field('ended') or number('loads') ~= tonumber(ARGV[1]) or redis.call('EXISTS', OPEN, LATER, REVIEW) > 0 then
  return 0
end
if not field('retired') then
  redis.call('HSET', CAMPAIGN, 'retired', int(now))
  for k, key in ipairs(KEYS) do
    redis.call('EXPIRE', key, k > OWN and ARGV[2] or ARGV[3])
  end
end
return 1
