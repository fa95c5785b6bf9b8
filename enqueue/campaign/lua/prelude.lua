-- The part that every script begins with. KEYS are those of Store.keys, in its order;
-- a script's own follow them.
local CAMPAIGN, OPEN, LATER, REVIEW, ENDS, WITHDRAWN, LOG = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local OWN = 7

local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)

-- Large numbers would be written with an exponent.
local function int(x) return string.format('%.0f', x) end

local function field(name) return redis.call('HGET', CAMPAIGN, name) end

local function number(name) return tonumber(field(name) or 0) end

-- event writes a line of the log; more is a list of names and counts.
local function event(what, more)
  local line = '{"at":' .. int(now) .. ',"what":"' .. what .. '","count":{'
  for k = 1, #more, 2 do
    line = line .. (k > 1 and ',' or '') .. '"' .. more[k] .. '":' .. int(tonumber(more[k + 1]))
  end
  redis.call('RPUSH', LOG, line .. '}}')
  redis.call('LTRIM', LOG, -200, -1)
end

-- mark is a number that no row was opened with before: what was read under an older
-- one does not count any more.
local function mark()
  return redis.call('HINCRBY', CAMPAIGN, 'mark', 1)
end

local STATES = {'succeeded', 'failed', 'refunded', 'cancelled'}

-- finish says once that every row is settled: those that a person decides about do
-- not hold it up, and are told.
local function finish()
  if field('ended') or number('next') < number('rows') or redis.call('EXISTS', OPEN, LATER) > 0 then
    return
  end
  redis.call('HSET', CAMPAIGN, 'ended', int(now))
  local more = {'rows', number('rows'), 'needs_review', redis.call('ZCARD', REVIEW)}
  for _, state in ipairs(STATES) do
    more[#more + 1] = state
    more[#more + 1] = number('n:' .. state)
  end
  event('finished', more)
  redis.call('PUBLISH', 'topup:campaign:finished', field('name'))
end

-- reopen takes an end back: something is to be done again, and nothing may run out.
local function reopen()
  redis.call('HDEL', CAMPAIGN, 'ended')
  if redis.call('HDEL', CAMPAIGN, 'retired') == 1 then
    for _, key in ipairs(KEYS) do
      redis.call('PERSIST', key)
    end
  end
end
