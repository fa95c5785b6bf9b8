-- submit accepts jobs of one shard. KEYS: 1 unused, 2 due, 3 incarnation, then
-- record and tomb of each job. Its own arguments: per job the id, the time before which it is not
-- sent (or 0), the number of its fields and values, and these.
-- Answers per job: {'created', now} or {'exists', the record} or {'gone', the tomb}.
local inc, barrier, _, token = incarnation()
-- In the time in which this Redis may have forgotten jobs, a new one may be an old one.
local born = inc
if now < barrier then
  born = '?'
end
local out = {token}
local due = {}
local at = int(now)
local a, k = OWN + 1, 6
while a <= #ARGV do
  local job, not_before, count = ARGV[a], tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2])
  local record, tomb = KEYS[k], KEYS[k + 1]
  if redis.call('EXISTS', record, tomb) == 0 then
    local na = not_before > now and int(not_before) or at
    redis.call('HSET', record, 's', 'queued', 'v', '1', 'i', born, 'ca', at, 'na', na, unpack(ARGV, a + 3, a + 2 + count))
    due[#due + 1] = int(tonumber(na) + grace)
    due[#due + 1] = job
    out[#out + 1] = {'created', at}
  elseif redis.call('EXISTS', record) == 1 then
    if redis.call('HEXISTS', record, 'f') == 0 then -- only its wake-up was left: here is what it was
      redis.call('HSET', record, unpack(ARGV, a + 3, a + 2 + count))
    end
    out[#out + 1] = {'exists', redis.call('HGETALL', record)}
  else
    out[#out + 1] = {'gone', redis.call('GET', tomb)}
  end
  a, k = a + 3 + count, k + 2
end
if #due > 0 then
  redis.call('ZADD', DUE, unpack(due)) -- one call for all of them
end
return out
