-- wait puts off a job that still waits. A: the version it was read in, reason,
-- ms from now, 1 when it is on hold. Answers: done, stale, look, failed, review.
local seen, reason, delay, held = tonumber(A[1]), A[2], tonumber(A[3]), A[4]
if state ~= 'queued' or version ~= seen then
  return answer('stale', number('na'))
end
if strange then
  return suspect()
end
if expired() then
  return give_up('EXPIRED')
end
local total = number('ht')
if R.hs then
  total = total + now - tonumber(R.hs)
end
local set = {'r', reason, 'ht', int(total)}
local del = {'hs'}
if held == '1' then
  set[#set + 1] = 'hs'
  set[#set + 1] = int(now)
  del = nil
end
if R.r == reason then -- no line of the log for more of the same
  version = version + 1
  redis.call('HSET', J, 'v', version, 'na', int(now + delay), unpack(set))
  redis.call('HDEL', J, unpack(del or {'h'}))
  redis.call('ZADD', DUE, int(now + delay + grace), id)
  return answer('done', now + delay)
end
move('queued', reason, now + delay, set, del)
return answer('done', now + delay)
