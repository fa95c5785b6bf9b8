-- giveup ends a job that waits, must not be sent any more and is not cancel's to withdraw.
-- A: the version it was read in. Answers: stale, look, cancelled, review.
if state ~= 'queued' or version ~= tonumber(A[1]) then
  return answer('stale', number('na'))
end
if strange then
  return suspect()
end
if number('am') > 0 then
  return give_up('EXPIRED')
end
-- What a restarted Redis may have forgotten was looked for, or it would not be queued.
move('cancelled', 'cancelled', 0, {'c', ''})
return answer('cancelled')
