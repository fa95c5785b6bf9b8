-- review carries out a person's decision. A: fail or resend, the pause after the
-- last send or its end (ms), sends allowed from now on, the highest generation.
-- Answers: done, missing, no, executed (a transaction of it is known), used (its
-- identifier is used up and no other may be taken).
local action, pause, allowed, top = A[1], tonumber(A[2]), tonumber(A[3]), tonumber(A[4])
if not state then
  return answer('missing')
end
if R.c == 'DOUBLE' or R.c == 'EXECUTED_AFTER' then
  return answer('executed')
end
if action == 'fail' then
  if state ~= 'needs_review' then
    return answer('no')
  end
  move('failed', 'reviewed', 0, {'c', 'REVIEWED'})
  return answer('done')
end
if (state ~= 'needs_review' and state ~= 'failed' and state ~= 'refunded') or not R.a then
  return answer('no')
end
-- In the time in which this Redis may have forgotten a decision, this may not be the first.
local born = R.i or inc
if now < barrier or (R.i and strange) then
  born = '?'
end
local last = number('sn')
if R.c == 'TRANSACTION_ENDED' and R.fa then -- the number rests from its end on
  last = number('ca') + number('fa')
end
local at = math.max(now, last + pause)
local set = {'mx', number('n') + allowed, 'c', '', 'i', born, 'nb', int(now)}
local del = {'pf', 'au', 'e', 'ea', 'ex', 'tx', 'x0'}
if state ~= 'needs_review' and R.tx and R.c == 'TRANSACTION_ENDED' then -- known to have ended: its identifier is used up
  set[#set + 1] = 'ox' -- a late word of its end is not the end of the next one
  set[#set + 1] = (R.ox or ',') .. R.tx .. ','
  if number('am') > 0 or R.su or number('g') >= top then
    return answer('used')
  end
  set[#set + 1] = 'g'
  set[#set + 1] = number('g') + 1
  del[#del + 1] = 'rf'
end
if R.tx or number('am') > 0 or R.su then
  -- It may have been executed since: it is looked up again before it is sent.
  set[#set + 1] = 'sa'
  set[#set + 1] = int(at)
  del[#del + 1] = 'r'
  move('unknown', 'resend_by_person', at, set, del)
else
  set[#set + 1] = 'r'
  set[#set + 1] = 'backoff'
  move('queued', 'resend_by_person', at, set, del)
end
return answer('done', at)
