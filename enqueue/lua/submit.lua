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
local a, k = 1, 6
while a <= #A do
  local job, not_before, count = A[a], tonumber(A[a + 1]), tonumber(A[a + 2])
  local record, tomb = KEYS[k], KEYS[k + 1]
  if redis.call('EXISTS', record) == 1 then
    out[#out + 1] = {'exists', redis.call('HGETALL', record)}
  elseif redis.call('EXISTS', tomb) == 1 then
    out[#out + 1] = {'gone', redis.call('GET', tomb)}
  else
    local na = math.max(now, not_before)
    redis.call('HSET', record, 's', 'queued', 'v', 1, 'i', born, 'ca', int(now), 'na', int(na), unpack(A, a + 3, a + 2 + count))
    redis.call('ZADD', DUE, int(na + grace), job)
    out[#out + 1] = {'created', int(now)}
  end
  a, k = a + 3 + count, k + 2
end
return out
