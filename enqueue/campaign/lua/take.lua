-- take hands rows over: those whose time has come, then the next ones. ARGV: how many
-- at most. Answers the mark and the rows; nothing where the campaign does not run.
local limit = tonumber(ARGV[1])
if field('state') ~= 'running' then
  return {0}
end
local taken = redis.call('ZRANGEBYSCORE', LATER, '-inf', int(now), 'LIMIT', 0, limit)
if #taken > 0 then
  redis.call('ZREM', LATER, unpack(taken))
end
local first, rows = number('next'), number('rows')
local last = math.min(rows, first + limit - #taken)
for row = first, last - 1 do
  taken[#taken + 1] = row
end
if #taken == 0 then
  return {0}
end
local given = mark()
local scored = {}
for _, row in ipairs(taken) do
  scored[#scored + 1] = given
  scored[#scored + 1] = row
end
redis.call('ZADD', OPEN, unpack(scored))
if last > first then
  redis.call('HSET', CAMPAIGN, 'next', last)
  if first == 0 then
    event('started', {'rows', rows})
  end
end
return {given, unpack(taken)}
