-- Invalidates everything that carries a generation.
-- KEYS  1 generation
-- ARGV  1 expire | remove | purge  2 life, ms  3 epoch  4 broadcast channel  5 name
-- Gives the new value
local record = redis.pcall('GET', KEYS[1])
local previous, removed
if type(record) == 'string' then previous, removed = string.match(record, '^(%d+),(%d+),') end
local value = int(math.max(now_us(), tonumber(previous or 0) + 1))
if ARGV[1] ~= 'expire' then removed = value end
local life = math.max(tonumber(ARGV[2]), redis.call('PTTL', KEYS[1]))
-- A full server refuses what grows, but not to a script that has written already: invalidation must go through.
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[1], value .. ',' .. (removed or '0') .. ',' .. ARGV[3], 'PX', int(life))
redis.call('PUBLISH', ARGV[4], 'g|' .. value .. '|' .. ARGV[5])
return value
