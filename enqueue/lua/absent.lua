-- absent notes a healthy look-up that found nothing, and draws the conclusion when
-- enough of them lie behind the settle time. A: the version for which it was made, when
-- the provider's own clock says it is (ms, 0 unknown), answers needed, their spacing (ms),
-- after how long without a fate a person decides (ms), the next look-up otherwise (ms from
-- now), by how much the provider's clock may be off (ms), the highest generation.
-- Answers: busy, wait, look, resend, next_identifier, failed, review.
local seen, provider, needed, spacing, patience, later, skew, top = tonumber(A[1]), tonumber(A[2]), tonumber(A[3]), tonumber(A[4]), tonumber(A[5]), tonumber(A[6]), tonumber(A[7]), tonumber(A[8])
-- What was looked for before something else happened to the job proves nothing about it now.
if state ~= 'unknown' or version ~= seen then
  return answer('busy', number('na'))
end
if strange then
  return suspect()
end
local function again(at, empty)
  version = redis.call('HINCRBY', J, 'v', 1)
  redis.call('HSET', J, 'na', int(at), 'e', empty, 'ea', int(empty > number('e') and now or number('ea')))
  redis.call('ZADD', DUE, int(at + grace), id)
  return answer('wait', at)
end
local settled = number('sa')
local overdue = now > number('ua') + patience -- counted from when its fate became unknown
-- Two clocks must agree that the settle time is over: ours and the provider's.
if now < settled then
  local at = math.max(settled, now + 1000)
  if not R.su then -- what a restarted Redis may have forgotten was looked for once already
    at = math.min(now + later, at)
  end
  return again(at, 0)
end
if provider > 0 and provider + skew < settled and not overdue then
  return again(now + later, 0)
end
if provider > 0 and provider + skew < settled then -- a clock that stands still
  move('needs_review', 'UNRESOLVED', 0, {'c', 'UNRESOLVED'})
  return answer('review')
end
local empty = number('e')
if empty == 0 or now - number('ea') >= spacing then
  empty = empty + 1
end
if empty < needed then
  return again(math.max(number('ea'), empty > number('e') and now or 0) + spacing, empty)
end
if not R.a then
  move('needs_review', 'RECORD_LOST', 0, {'c', 'RECORD_LOST'})
  return answer('review')
end
if R.pf then
  move('failed', R.pf, 0, {'c', R.pf})
  return answer('failed')
end
if R.au then
  local clear = number('am') == 0 and not R.su
  if clear and R.rf and number('g') < top then
    -- Only definite refusals before: the provider uses identifiers up by refusing.
    move('queued', 'next_identifier', now, {'g', number('g') + 1, 'r', 'backoff'}, {'au', 'e', 'ea', 'sa', 'rf'})
    return answer('next_identifier', now)
  end
  if clear or overdue then
    -- Nothing of ours explains the use: whatever is refused later explains it no better.
    move('needs_review', 'IDENTIFIER_IN_USE', 0, {'c', 'IDENTIFIER_IN_USE', 'am', math.max(1, number('am'))})
    return answer('review')
  end
  return again(now + later, empty)
end
if overdue then
  move('needs_review', 'UNRESOLVED', 0, {'c', 'UNRESOLVED'})
  return answer('review')
end
if expired() then
  return give_up('EXPIRED')
end
if number('n') >= tonumber(R.mx or max_sends) then
  return give_up('TOO_MANY_SENDS')
end
move('queued', 'resend', now, {'r', 'backoff', 'c', ''}, {'e', 'ea'})
return answer('resend', now)
