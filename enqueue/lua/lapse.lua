-- lapse ends a permission whose holder can no longer be at it: sending → unknown.
-- Answers: look, busy, stale.
if state ~= 'sending' then
  return answer('stale', number('na'))
end
local over = number('sa')
local window = tonumber(redis.call('HGET', J, 'sw') or over)
if now < window then
  return answer('busy', window)
end
if strange then
  return suspect()
end
move('unknown', 'lapsed', now, {'am', number('am') + 1}, {'cl', 'e', 'ea'})
return answer('look', now)
