-- control changes what a person wants. ARGV: pause, resume or cancel. Answers: done,
-- missing, cancelled.
local wanted = ARGV[1]
local state = field('state')
if not state then
  return 'missing'
end
if wanted == 'cancel' then
  if state ~= 'cancelled' then
    -- What was not handed over can never be: it is counted at once, and remembered.
    local waiting, rows, first = redis.call('ZCARD', LATER), number('rows'), number('next')
    local rest = rows - first + waiting
    redis.call('HSET', CAMPAIGN, 'state', 'cancelled', 'cut', first, 'next', rows)
    redis.call('HINCRBY', CAMPAIGN, 'n:cancelled', rest)
    if waiting > 0 then
      redis.call('RENAME', LATER, WITHDRAWN)
    end
    event('cancelled', {'rows', rest})
    finish()
  end
  return 'done'
end
if state == 'cancelled' then
  return 'cancelled'
end
local to = wanted == 'pause' and 'paused' or 'running'
if state ~= to then
  redis.call('HSET', CAMPAIGN, 'state', to)
  event(wanted .. 'd', {})
end
return 'done'
