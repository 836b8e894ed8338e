-- Say that a process is alive, and return how many are. KEYS: the set of processes; ARGV: its own id, a lifetime in ms.
--
-- Law: a process counts once, and not any more once it has been silent for its lifetime, on the clock of the server.

local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now_ms))
redis.call('ZADD', KEYS[1], string.format('%.0f', now_ms + ARGV[2]), ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('ZCARD', KEYS[1])
