-- The record of one job, for every script but submit. The script's own arguments are
-- A[1], A[2], …
local inc, barrier, since, token = incarnation()
local A = {unpack(ARGV, OWN + 1)}
local R = {} -- its fields by their names in record.go
do
  local fields = redis.call('HGETALL', J)
  for k = 1, #fields, 2 do
    R[fields[k]] = fields[k + 1]
  end
end
local state = R.s
local version = tonumber(R.v or 0)
local function number(name) return tonumber(R[name] or 0) end
-- Whether it last changed under a Redis that this one may have forgotten writes of.
local strange = R.i ~= inc or tonumber(R.ua or R.ca or 0) < since

local KEEP = 24 -- lines of a record's log
local LETTER = {queued = 'q', sending = 's', processing = 'p', unknown = 'u', succeeded = 'S', failed = 'F', refunded = 'R', cancelled = 'C', needs_review = 'N'}
local FINAL = {succeeded = 1, failed = 2, refunded = 3, cancelled = 4} -- a digit: Redis keeps a tomb that is a number in half the room
-- What only an open job needs.
local OPEN = {'cl', 'e', 'ea', 'sa', 'na', 'pf', 'au', 'hs', 'ht', 'hn', 'i', 'mx', 'r', 'sw', 'ua'}

-- line is one of the log: ms since the job was created, from, to, why (= is the name of
-- the new state), who.
local function line(at, from, to, why, by)
  return string.sub(int(at - number('ca')) .. ' ' .. (LETTER[from] or '-') .. LETTER[to] .. ' ' .. (why == to and '=' or why) .. ' ' .. by, 1, 64)
end

-- claimed is the second line of a job's log, where it was claimed for its first send.
local function claimed(by) return line(number('sn'), 'queued', 'sending', 'claim', by) end

-- move writes one transition: the state, what changed with it (a list of names and
-- values; an empty one is none), a line of the log, the next action and the indexes.
-- next_at 0: none.
local function move(to, why, next_at, set, del)
  version = version + 1
  local lines = R.hn and number('hn') + 1 or version -- the version also counts what has no line
  local h = {'s', to, 'v', version, 'h' .. lines, line(now, state, to, why, who)}
  local gone = {}
  -- Most jobs are paid at their first send, by the one that claimed it: its line says
  -- nothing that sn and the line of the end do not. Whatever follows brings it back.
  local alone = state == 'succeeded' and not R.h2 and string.match(R.h3 or '', '^%S+ sS = (.*)$')
  if alone then
    h[#h + 1] = 'h2'
    h[#h + 1] = claimed(alone)
  elseif to == 'succeeded' and why == to and lines == 3 and R.h2 == claimed(who) then
    gone[1] = 'h2'
  end
  local tx = R.tx or ''
  set = set or {}
  if strange and R.i then -- what it changes now must not make it look like known
    h[#h + 1] = 'i'
    h[#h + 1] = '?'
  end
  for k = 1, #set, 2 do
    local name, value = set[k], set[k + 1]
    if value ~= '' then
      h[#h + 1] = name
      h[#h + 1] = value
    elseif R[name] then
      gone[#gone + 1] = name
    end
    if name == 'tx' then
      tx = value
    end
  end
  for _, names in ipairs({del or {}, FINAL[to] and OPEN or {}, {'h' .. (lines - KEEP)}}) do
    for _, name in ipairs(names) do
      if R[name] then
        gone[#gone + 1] = name
      end
    end
  end
  if FINAL[to] then
    h[#h + 1] = 'fa'
    h[#h + 1] = int(now - number('ca')) -- in ms since then: it takes half the room
  else
    for _, x in ipairs({'ua', int(now), 'na', int(next_at), 'hn', lines}) do
      h[#h + 1] = x
    end
    if FINAL[state] then
      gone[#gone + 1] = 'fa'
      redis.call('PERSIST', J)
      redis.call('DEL', TOMB)
    end
  end
  redis.call('HSET', J, unpack(h))
  if #gone > 0 then
    redis.call('HDEL', J, unpack(gone))
  end
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
    redis.call('EXPIRE', J, retention)
    redis.call('SET', TOMB, FINAL[to] .. tx, 'EX', memory)
  end
  if FINAL[to] or to == 'needs_review' then
    redis.call('PUBLISH', 'topup:settled', id)
  end
  state = to
end

-- answer: the word, the version, the next action, the state, the token of the incarnation.
local function answer(word, next_at)
  return {word, version, int(next_at or 0), state or '', token}
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
