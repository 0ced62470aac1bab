-- Prolongs an attempt that is still valid.
-- KEYS  1 lease
-- ARGV  1 token  2 lease ms
-- Gives 1, or 0 when the token is void
local now = now_us()
local field, lease_us = 'a:' .. ARGV[1], tonumber(ARGV[2]) * 1000
local mine = redis.call('HGET', KEYS[1], field)
if not mine or tonumber(mine) <= now then return 0 end
redis.call('HSET', KEYS[1], field, int(now + lease_us))
if redis.call('HGET', KEYS[1], 'h') == ARGV[1] then redis.call('HSET', KEYS[1], 'x', int(now + lease_us)) end
keep(KEYS[1], lease_us / 1000 + 1000)
return 1
