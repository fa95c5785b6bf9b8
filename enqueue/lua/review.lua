-- review carries out a person's decision. A: fail or resend, the pause after the
-- last send (ms), sends allowed from now on, the highest generation.
-- Answers: done, missing, no, used (its identifier is used up and no other may be taken).
local action, pause, allowed, top = A[1], tonumber(A[2]), tonumber(A[3]), tonumber(A[4])
if not state then
  return answer('missing')
end
if action == 'fail' then
  if state ~= 'needs_review' then
    return answer('no')
  end
  move('failed', 'reviewed', 0, {'c', 'REVIEWED'})
  return answer('done')
end
if (state ~= 'needs_review' and state ~= 'failed' and state ~= 'refunded') or not R.a or R.c == 'DOUBLE' or R.c == 'EXECUTED_AFTER' then
  return answer('no')
end
-- In the time in which this Redis may have forgotten a decision, this may not be the first.
local born = R.i or inc
if now < barrier then
  born = '?'
end
local set = {'mx', number('n') + allowed, 'r', 'backoff', 'c', '', 'i', born, 'nb', int(now)}
if state ~= 'needs_review' and R.tx and R.c == 'TRANSACTION_ENDED' then -- known to have ended: its identifier is used up
  if number('am') > 0 or R.su or number('g') >= top then
    return answer('used')
  end
  set[#set + 1] = 'g'
  set[#set + 1] = number('g') + 1
end
local at = math.max(now, number('sn') + pause)
move('queued', 'resend_by_person', at, set, {'pf', 'au', 'e', 'ea', 'ex', 'tx', 'x0'})
return answer('done', at)
