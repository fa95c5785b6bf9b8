-- settle counts what became of rows, each once. ARGV, of each row: its number, the mark
-- under which its job was read, state, code, currency, amount in units of 1e-5.
-- Answers how many changed their place.
local FINAL = {succeeded = true, failed = true, refunded = true, cancelled = true}
local changed, ended = 0, 0
local again
for k = 1, #ARGV, 6 do
  local row, seen, state, code, currency, amount = unpack(ARGV, k, k + 5)
  local from
  if redis.call('ZSCORE', OPEN, row) == seen then
    from = OPEN
  elseif redis.call('ZSCORE', REVIEW, row) == seen then
    from = REVIEW
  end
  if from and FINAL[state] then
    redis.call('ZREM', from, row)
    redis.call('HINCRBY', CAMPAIGN, 'n:' .. state, 1)
    if state ~= 'succeeded' then
      redis.call('HSET', ENDS, row, state .. ' ' .. code)
      if code ~= '' then
        redis.call('HINCRBY', CAMPAIGN, 'c:' .. code, 1)
      end
    end
    if currency ~= '' then
      -- A sum that does not fit must not leave the row half counted.
      local sum = redis.pcall('HINCRBY', CAMPAIGN, 'moved:' .. currency, amount)
      if type(sum) == 'table' then
        redis.call('HINCRBY', CAMPAIGN, 'unsummed:' .. currency, 1)
      end
    end
    changed, ended = changed + 1, ended + 1
  elseif from == OPEN and state == 'needs_review' then
    redis.call('ZREM', OPEN, row)
    again = again or mark()
    redis.call('ZADD', REVIEW, again, row)
    changed = changed + 1
  elseif from == REVIEW and state ~= 'needs_review' then -- somebody has it sent again
    redis.call('ZREM', REVIEW, row)
    again = again or mark()
    redis.call('ZADD', OPEN, again, row)
    if field('ended') then
      reopen()
      event('reopened', {'rows', 1})
    end
    changed = changed + 1
  end
end
if ended > 0 then -- the rate: rows settled in each five seconds, for eight of them
  local five = math.floor(now / 5000)
  local slot = 'r' .. five % 8
  local of, count = string.match(field(slot) or '', '^(%d+) (%d+)$')
  redis.call('HSET', CAMPAIGN, slot, five .. ' ' .. (of == tostring(five) and tonumber(count) or 0) + ended)
end
if changed > 0 then
  finish()
end
return changed
