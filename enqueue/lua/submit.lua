-- submit accepts jobs of one shard. KEYS: 1 unused, 2 due, 3 incarnation, then
-- record and tomb of each job. A: per job the id, the time before which it is not
-- sent (or 0), the number of its fields and values, and these.
-- Answers per job: {'created', now} or {'exists', the record} or {'gone', the tomb}.
local inc, barrier = incarnation()
-- In the time in which this Redis may have forgotten jobs, a new one may be an old one.
local born = inc
if now < barrier then
  born = '?'
end
local out = {inc}
local due = {}
local a, k = 1, 6
while a <= #A do
  local job, not_before, count = A[a], tonumber(A[a + 1]), tonumber(A[a + 2])
  local record, tomb = KEYS[k], KEYS[k + 1]
  if redis.call('EXISTS', record, tomb) == 0 then
    local na = math.max(now, not_before)
    redis.call('HSET', record, 's', 'queued', 'v', 1, 'i', born, 'ca', int(now), 'na', int(na), unpack(A, a + 3, a + 2 + count))
    due[#due + 1] = int(na + grace)
    due[#due + 1] = job
    out[#out + 1] = {'created', int(now)}
  elseif redis.call('EXISTS', record) == 1 then
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
