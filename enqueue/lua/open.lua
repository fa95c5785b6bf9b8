-- open notes the Redis of one shard, before there is a job in it. Answers its token.
local _, _, _, token = incarnation()
return token
