-- defer puts open rows back until their time. ARGV: row, mark, time in ms, of each.
local done = 0
for k = 1, #ARGV, 3 do
  if redis.call('ZSCORE', OPEN, ARGV[k]) == ARGV[k + 1] and field('state') ~= 'cancelled' then
    redis.call('ZREM', OPEN, ARGV[k])
    redis.call('ZADD', LATER, ARGV[k + 2], ARGV[k])
    done = done + 1
  end
end
return done
