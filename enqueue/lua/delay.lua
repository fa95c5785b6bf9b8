-- delay sets the next look-up of an open job that nobody could decide about.
-- A: the version it was read in, ms from now, after how long a person decides (ms).
-- Answers: done, stale, review.
local seen, delay, patience = tonumber(A[1]), tonumber(A[2]), tonumber(A[3])
if (state ~= 'unknown' and state ~= 'processing' and state ~= 'sending') or version ~= seen then
  return answer('stale', number('na'))
end
if state ~= 'sending' and now > number('ua') + patience then -- since its last change
  move('needs_review', 'UNRESOLVED', 0, {'c', 'UNRESOLVED'})
  return answer('review')
end
version = redis.call('HINCRBY', J, 'v', 1)
redis.call('HSET', J, 'na', int(now + delay))
redis.call('ZADD', DUE, int(now + delay + grace), id)
return answer('done', now + delay)
