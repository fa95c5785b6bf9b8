-- missing takes up a job of which only the wake-up is known. Answers: look, stale, done.
if state then
  return answer('stale', number('na'))
end
if redis.call('EXISTS', TOMB) == 1 then
  return answer('done')
end
R.ca = now
move('unknown', 'record_lost', now, {'ca', int(now), 'i', inc, 'su', '1', 'c', 'RECORD_LOST', 'sa', int(math.max(now + settle, barrier)), 'sn', int(now)})
return answer('look', now)
