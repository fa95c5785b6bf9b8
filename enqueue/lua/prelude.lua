-- The part that every script begins with. KEYS: 1 record, 2 due, 3 incarnation,
-- 4 tomb, 5 review. ARGV: OWN of Ledger.arguments, then the script's own.
local J, DUE, INCARNATION, TOMB, REVIEW = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local id, epoch, known, who = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local settle, retention, memory = tonumber(ARGV[5]), ARGV[6], ARGV[7]
local lifetime, max_sends, grace = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
local OWN = 10

local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)

-- Large numbers would be written with an exponent.
local function int(x) return string.format('%.0f', x) end

-- named is the beginning of a value that Redis tells of itself.
local function named(section, name)
  local info = redis.call('INFO', section)
  local _, last = string.find(info, name, 1, true)
  return last and string.sub(info, last + 1, last + 12) or ''
end

-- incarnation names the Redis process that runs this script, and says until when it
-- may have forgotten writes, since when it is known, and by what a client knows it
-- again. It asks Redis itself, so that no script can run with the name of a process
-- that is gone; epoch stands in for it where Redis has no such name (memory://).
local function incarnation()
  local inc = epoch
  if inc == '' then
    inc = named('server', 'run_id:') .. named('replication', 'master_replid:')
  end
  local seen = redis.call('HMGET', INCARNATION, 'now', 'seen', 'first')
  local token = inc .. '@' .. (seen[2] or '')
  if seen[1] == inc and seen[3] ~= '1' then
    return inc, tonumber(seen[2]) + settle, tonumber(seen[2]), token
  end
  -- An empty Redis that no client has seen otherwise is new: it can have forgotten
  -- nothing. A client that comes later may know better.
  if known == '' or known == token then
    if seen[1] == inc then
      return inc, 0, 0, token
    end
    if not seen[1] then
      redis.call('HSET', INCARNATION, 'now', inc, 'seen', int(now), 'first', '1')
      return inc, 0, 0, inc .. '@' .. int(now)
    end
  end
  -- What a client did in this very moment, to a Redis that seemed new, lies before it.
  local since = seen[1] == inc and now + 1 or now
  redis.call('HSET', INCARNATION, 'now', inc, 'seen', int(since), 'first', '0')
  return inc, since + settle, since, inc .. '@' .. int(since)
end
