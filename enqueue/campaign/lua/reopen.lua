-- reopen takes back that rows have failed: their jobs are sent again. KEYS: the rows of
-- every load. ARGV: the rows. Answers how many were opened, -1 where the campaign is
-- cancelled.
if field('state') == 'cancelled' then
  return -1
end
local opened, given = 0, nil
for _, row in ipairs(ARGV) do
  local state, code = string.match(redis.call('HGET', ENDS, row) or '', '^(%S+) (.*)$')
  if state then
    redis.call('HDEL', ENDS, row)
    redis.call('HINCRBY', CAMPAIGN, 'n:' .. state, -1)
    if code ~= '' and redis.call('HINCRBY', CAMPAIGN, 'c:' .. code, -1) <= 0 then
      redis.call('HDEL', CAMPAIGN, 'c:' .. code)
    end
    given = given or mark()
    redis.call('ZADD', OPEN, given, row)
    opened = opened + 1
  elseif redis.call('ZSCORE', OPEN, row) then -- what was read of it before says nothing any more
    given = given or mark()
    redis.call('ZADD', OPEN, given, row)
  end
end
if opened > 0 then
  reopen()
  event('reopened', {'rows', opened})
end
return opened
