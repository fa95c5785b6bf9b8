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

-- incarnation names the Redis process that runs this script, and says until when
-- it may have forgotten writes of the one before. It asks Redis itself, so that no
-- script can run with the name of a process that is gone; epoch stands in for it
-- where Redis has no such name (memory://).
local function incarnation()
  local inc = epoch
  if inc == '' then
    inc = named('server', 'run_id:') .. named('replication', 'master_replid:')
  end
  local seen = redis.call('HMGET', INCARNATION, 'now', 'seen', 'first')
  if seen[1] == inc then
    if seen[3] == '1' then
      return inc, 0
    end
    return inc, tonumber(seen[2]) + settle
  end
  -- An empty Redis that this client has never seen full is new: it can have
  -- forgotten nothing.
  if not seen[1] and known == '' then
    redis.call('HSET', INCARNATION, 'now', inc, 'seen', int(now), 'first', '1')
    return inc, 0
  end
  redis.call('HSET', INCARNATION, 'now', inc, 'seen', int(now), 'first', '0')
  return inc, now + settle
end
