-- begin gives the one permission to send: queued → sending. A: claim, for how
-- long a POST may still be under way (ms), from when a look-up makes sense (ms).
-- Answers: send, missing, done, review, busy, early, look, failed.
local claim, window, look_after = A[1], tonumber(A[2]), tonumber(A[3])
if not state then
  return answer('missing')
end
if state == 'sending' and R.cl == claim then
  return answer('send', number('na')) -- our own claim, whose answer was lost
end
if FINAL[state] then
  return answer('done')
end
if state == 'needs_review' then
  return answer('review')
end
if state ~= 'queued' then
  return answer('busy', number('na'))
end
if strange then
  return suspect()
end
if now < number('na') then
  return answer('early', number('na'))
end
if expired() then
  return give_up('EXPIRED')
end
if number('n') >= tonumber(R.mx or max_sends) then
  return give_up('TOO_MANY_SENDS')
end
local held = number('ht')
if R.hs then
  held = held + now - tonumber(R.hs)
end
move('sending', 'claim', now + look_after,
  {'cl', claim, 'n', number('n') + 1, 'sn', int(now), 'sa', int(now + math.max(settle, window)), 'sw', int(now + window), 'ht', int(held)},
  {'r', 'hs', 'e', 'ea', 'au'})
return answer('send', now + look_after)
