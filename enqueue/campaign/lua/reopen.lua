-- reopen takes back how rows were counted: they count as their jobs stand, and are
-- counted again when those end. KEYS: the rows of every load. ARGV: 1 where a cancelled
-- campaign's rows are not opened; then of each row its number, 1 where it may be counted as
-- succeeded, and with it the currency and the amount in units of 1e-5 (or none).
-- Answers how many were opened, -1 where the campaign is cancelled.
if ARGV[1] == '1' and field('state') == 'cancelled' then
  return -1
end
local opened, given = 0, nil
local function open(row)
  given = given or mark()
  redis.call('ZADD', OPEN, given, row)
end

-- What was handed over and stands nowhere else has succeeded.
local function succeeded(row)
  return tonumber(row) < tonumber(field('cut') or field('next') or 0) and not redis.call('ZSCORE', LATER, row)
    and not redis.call('ZSCORE', REVIEW, row) and not redis.call('ZSCORE', WITHDRAWN, row)
end

for k = 2, #ARGV, 4 do
  local row, paid, currency, amount = unpack(ARGV, k, k + 3)
  local state, code = string.match(redis.call('HGET', ENDS, row) or '', '^(%S+) (.*)$')
  if state then
    redis.call('HDEL', ENDS, row)
    redis.call('HINCRBY', CAMPAIGN, 'n:' .. state, -1)
    if code ~= '' and redis.call('HINCRBY', CAMPAIGN, 'c:' .. code, -1) <= 0 then
      redis.call('HDEL', CAMPAIGN, 'c:' .. code)
    end
    open(row)
    opened = opened + 1
  elseif redis.call('ZSCORE', OPEN, row) then -- what was read of it before says nothing any more
    open(row)
  elseif paid == '1' and succeeded(row) then
    redis.call('HINCRBY', CAMPAIGN, 'n:succeeded', -1)
    if currency ~= '' and redis.call('HINCRBY', CAMPAIGN, 'moved:' .. currency, '-' .. amount) == 0 then
      redis.call('HDEL', CAMPAIGN, 'moved:' .. currency)
    end
    open(row)
    opened = opened + 1
  end
end
if opened > 0 then
  reopen()
  event('reopened', {'rows', opened})
end
return opened
