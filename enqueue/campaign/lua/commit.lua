-- commit makes staged rows the campaign's, all or none. KEYS: the stage, its pairs, the
-- rows and the pairs of this load, the rows of the loads before. ARGV: the version that was
-- seen, the stage's token, the name, rows, chunks, the load as JSON, for how long the
-- pairs are kept (s).
-- Answers: done, changed, cancelled, lost.
local STAGE, STAGED_PAIRS, ROWS, PAIRS = KEYS[OWN + 1], KEYS[OWN + 2], KEYS[OWN + 3], KEYS[OWN + 4]
local seen, token, name, rows, chunks, load, kept = tonumber(ARGV[1]), ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6], ARGV[7]
if field('token') == token then
  return 'done' -- our own, whose answer was lost
end
if field('state') == 'cancelled' then
  return 'cancelled'
end
if number('v') ~= seen then
  return 'changed'
end
if redis.call('HLEN', STAGE) ~= chunks then
  return 'lost'
end
if seen == 0 then
  redis.call('HSET', CAMPAIGN, 'name', name, 'state', 'running', 'created', int(now), 'next', 0)
end
reopen()
local loads = number('loads')
redis.call('HSET', CAMPAIGN, 'token', token, 'v', seen + 1, 'rows', number('rows') + rows, 'loads', loads + 1, 'l' .. loads, load)
redis.call('RENAME', STAGE, ROWS)
redis.call('PERSIST', ROWS)
if redis.call('EXISTS', STAGED_PAIRS) == 1 then
  redis.call('RENAME', STAGED_PAIRS, PAIRS)
  redis.call('EXPIRE', PAIRS, kept)
end
event('loaded', {'rows', rows})
return 'done'
