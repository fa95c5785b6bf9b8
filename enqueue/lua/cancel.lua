-- cancel withdraws a job that waits. Answers: done, missing, same, no.
if not state then
  return answer('missing')
end
if state == 'cancelled' then
  return answer('same')
end
-- Where a send ended without an answer it cannot be said that nothing was paid.
if state ~= 'queued' or strange or number('am') > 0 or R.su then
  return answer('no')
end
move('cancelled', 'cancelled', 0, {'c', ''})
return answer('done')
