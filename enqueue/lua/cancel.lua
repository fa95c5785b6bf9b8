-- cancel withdraws a job that waits. Answers: done, missing, same, no.
if not state then
  return answer('missing')
end
if state == 'cancelled' then
  return answer('same')
end
if state ~= 'queued' or R.i ~= inc then
  return answer('no')
end
move('cancelled', 'cancelled', 0, {'c', ''})
return answer('done')
