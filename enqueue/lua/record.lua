-- The record of one job, for every script but submit.
local inc, barrier = incarnation()
local fields = {'s', 'v', 'i', 'n', 'am', 'su', 'cl', 'sn', 'sa', 'na', 'ca', 'nb', 'ex', 'hs', 'ht', 'r', 'g', 'tx', 'c', 'pf', 'au', 'e', 'ea', 'a', 'mx', 'op', 'ua', 'dx', 'hn', 'rf'}
local R = {}
do
  local values = redis.call('HMGET', J, unpack(fields))
  for k, name in ipairs(fields) do
    R[name] = values[k] or nil
  end
end
local state = R.s
local version = tonumber(R.v or 0)
local function number(name) return tonumber(R[name] or 0) end

local KEEP = 24 -- lines of a record's log
local LETTER = {queued = 'q', sending = 's', processing = 'p', unknown = 'u', succeeded = 'S', failed = 'F', refunded = 'R', cancelled = 'C', needs_review = 'N'}
local FINAL = {succeeded = true, failed = true, refunded = true, cancelled = true}

-- move writes one transition: the state, what changed with it (a list of names and
-- values), a line of the log, the next action and the indexes. next_at 0: none.
local function move(to, why, next_at, set, del)
  version = version + 1
  local lines = number('hn') + 1 -- the version also counts what has no line
  local line = string.sub(int(now - number('ca')) .. ' ' .. (LETTER[state] or '-') .. LETTER[to] .. ' ' .. why .. ' ' .. who, 1, 64)
  local h = {'s', to, 'v', version, 'ua', int(now), 'na', int(next_at), 'hn', lines, 'h' .. lines, line}
  for _, x in ipairs(set or {}) do
    h[#h + 1] = x
  end
  redis.call('HSET', J, unpack(h))
  redis.call('HDEL', J, 'h' .. (lines - KEEP), unpack(del or {'h'}))
  if to == 'needs_review' then
    redis.call('ZADD', REVIEW, int(now), id)
  elseif state == 'needs_review' then
    redis.call('ZREM', REVIEW, id)
  end
  if next_at > 0 then
    redis.call('ZADD', DUE, int(next_at + grace), id)
  else
    redis.call('ZREM', DUE, id)
  end
  if FINAL[to] then
    redis.call('HSET', J, 'fa', int(now))
    -- What only an open job needs.
    redis.call('HDEL', J, 'cl', 'e', 'ea', 'sa', 'na', 'pf', 'au', 'hs', 'ht', 'i', 'mx', 'r', 'sw')
    redis.call('EXPIRE', J, retention)
    redis.call('SET', TOMB, LETTER[to] .. (redis.call('HGET', J, 'tx') or ''), 'EX', memory)
  elseif FINAL[state] then
    redis.call('PERSIST', J)
    redis.call('DEL', TOMB)
    redis.call('HDEL', J, 'fa')
  end
  if FINAL[to] or to == 'needs_review' then
    redis.call('PUBLISH', 'topup:settled', id)
  end
  state = to
end

-- answer: the word, the version, the next action, the state, the incarnation.
local function answer(word, next_at)
  return {word, version, int(next_at or 0), state or '', inc}
end

-- give_up ends a job that may not be sent any more.
local function give_up(code)
  if number('am') > 0 then
    move('needs_review', code, 0, {'c', code})
    return answer('review')
  end
  move('failed', code, 0, {'c', code})
  return answer('failed')
end

-- expired: its own time is absolute; the default one does not count time on hold.
local function expired()
  if R.ex then
    return now > tonumber(R.ex)
  end
  local held = number('ht')
  if R.hs then
    held = held + now - tonumber(R.hs)
  end
  return now > math.max(number('ca'), number('nb')) + lifetime + held
end

-- suspect: this Redis may have forgotten what happened to the job. It is looked up
-- under every identifier that it can have had, after the settle time.
local function suspect()
  local settled = int(math.max(number('sa'), barrier))
  move('unknown', 'redis_restarted', now, {'i', inc, 'su', '1', 'sa', settled, 'e', '0'}, {'cl', 'ea', 'r'})
  return answer('look', now)
end
