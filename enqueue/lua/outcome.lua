-- outcome writes what became of a send. A: claim ('' for what a look-up found, adopt
-- for what a person's look-up of all found),
-- kind, code, reason, next action (a time in ms, or 'in' ms when negative), 1 when
-- the send is given back, transaction id or '', then the pieces of the transaction.
-- Answers: done, ignored, same, double, alert, look.
local claim, kind, code, reason, next_at, back, tx = A[1], A[2], A[3], A[4], tonumber(A[5]), A[6], A[7]
if not state then
  return answer('missing')
end
if next_at < 0 then
  next_at = now - next_at
end
-- What is not understood proves nothing, and must not go back to the queue.
local KINDS = {succeeded = true, processing = true, failed = true, refunded = true, foreign = true, unknown = true, in_use = true, retry = true, held = true, review = true}
if not KINDS[kind] or (kind == 'refunded' and tx == '') then
  kind = 'unknown'
end
local known_tx = R.tx or ''
local set, del = {'c', code}, {'r'}
if tx ~= '' then
  set[#set + 1] = 'tx'
  set[#set + 1] = tx
end
for i = 8, #A do
  set[#set + 1] = 'x' .. (i - 8)
  set[#set + 1] = A[i]
end
if #A >= 8 then
  del[#del + 1] = 'x' .. (#A - 7) -- an older answer's next piece must not be read on
end

-- Proof of execution counts always: late, and from a worker that lost its claim.
if kind == 'succeeded' or kind == 'processing' then
  -- Another transaction of the job is known, and it is not known to have ended unpaid.
  local other = known_tx ~= '' and tx ~= '' and known_tx ~= tx
    and (state == 'succeeded' or state == 'processing' or state == 'needs_review')
  if other or R.c == 'DOUBLE' then
    local told = not other or R.dx == tx
    if kind == 'succeeded' and state ~= 'succeeded' then
      set[2] = 'DOUBLE'
      if other then
        set[#set + 1] = 'dx'
        set[#set + 1] = known_tx
      end
      move('succeeded', 'double', 0, set, del)
      return answer(told and 'done' or 'double')
    end
    if told then -- the answer that told of it may have been lost
      return answer(R.dx == tx and 'double' or 'same')
    end
    move(state == 'succeeded' and 'succeeded' or 'needs_review', 'double', 0, {'c', 'DOUBLE', 'dx', tx})
    return answer('double')
  end
  if state == 'succeeded' then
    return answer('same')
  end
  if FINAL[state] then
    if kind == 'processing' and known_tx == tx then
      return answer('same')
    end
    set[2] = 'EXECUTED_AFTER'
    move('needs_review', 'executed_after', 0, set, del)
    return answer('alert')
  end
  if kind == 'succeeded' then
    move('succeeded', 'succeeded', 0, set, del)
    return answer('done')
  end
  if state == 'processing' and known_tx == tx then
    redis.call('HSET', J, 'na', int(next_at))
    version = redis.call('HINCRBY', J, 'v', 1)
    redis.call('ZADD', DUE, int(next_at + grace), id)
    return answer('done', next_at)
  end
  move('processing', 'accepted', next_at, set, del)
  return answer('done', next_at)
end

local mine = state == 'sending' and claim ~= '' and R.cl == claim

-- The transaction itself ended without delivering.
if (kind == 'failed' or kind == 'refunded') and tx ~= '' then
  if known_tx ~= tx and string.find(R.ox or '', ',' .. tx .. ',', 1, true) then
    return answer('ignored')
  end
  if state == 'unknown' and R.su and now < number('sa') then
    -- Its end says nothing of a later send that this Redis may have forgotten.
    version = redis.call('HINCRBY', J, 'v', 1)
    redis.call('HSET', J, 'na', R.sa)
    redis.call('ZADD', DUE, int(number('sa') + grace), id)
    return answer('wait', number('sa'))
  end
  -- Not the end of another one, nor of one of two.
  local its = known_tx == '' or ((known_tx == tx or R.dx == tx) and (not R.dx or claim == 'adopt'))
  if not mine and state ~= 'unknown' and not ((state == 'processing' or state == 'needs_review') and its)
    and not (state == 'succeeded' and kind == 'refunded' and known_tx == tx and not R.dx) then
    return answer('ignored')
  end
  if R.i and strange then -- it may have been sent again since, and be paid
    return suspect()
  end
  move(kind, kind, 0, set, del)
  return answer('done')
end

-- Its identifier belongs to somebody else's transaction.
if kind == 'foreign' then
  if state ~= 'unknown' then
    return answer('ignored')
  end
  move('needs_review', 'FOREIGN', 0, {'c', 'FOREIGN'})
  return answer('done')
end

-- The job waits for an answer that a look-up has to find.
if kind == 'unknown' then
  if not mine then
    return answer('ignored')
  end
  set[#set + 1] = 'am'
  set[#set + 1] = number('am') + 1
  move('unknown', code, next_at, set, {'cl', 'r', 'e', 'ea'})
  return answer('look', next_at)
end

-- What follows says that nothing was executed: it counts only from the holder of
-- the permission, in time, and where Redis has forgotten nothing since.
if not mine or strange or now >= number('sa') then
  return answer('ignored')
end
if kind == 'in_use' then -- the identifier is used: its transaction must be found
  set[#set + 1] = 'au'
  set[#set + 1] = '1'
  move('unknown', code, next_at, set, {'cl', 'r', 'e', 'ea'})
  return answer('look', next_at)
end
if back == '1' then -- nothing was asked of the provider, or it asks to come back
  set[#set + 1] = 'n'
  set[#set + 1] = number('n') - 1
else -- its refusal may have used the identifier up
  set[#set + 1] = 'rf'
  set[#set + 1] = number('rf') + 1
end
if kind == 'failed' then
  if number('am') > 0 or R.su then -- an earlier send may yet turn up: one more look
    set[#set + 1] = 'pf'
    set[#set + 1] = code
    move('unknown', code, next_at, set, {'cl', 'r', 'e', 'ea'})
    return answer('look', next_at)
  end
  move('failed', code, 0, set, del)
  return answer('done')
end
if kind == 'review' then
  move('needs_review', code, 0, set, del)
  return answer('done')
end
set[#set + 1] = 'r'
set[#set + 1] = reason
if kind == 'held' then
  set[#set + 1] = 'hs'
  set[#set + 1] = int(now)
end
move('queued', reason, next_at, set, {'cl', 'e', 'ea'})
return answer('done', next_at)
