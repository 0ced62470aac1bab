-- Ends an attempt that made nothing.
-- KEYS  1 lease
-- ARGV  1 token  2 back-off base, ms ('' the load did not fail)  3 back-off limit, ms  4 wake channel prefix  5 key
local now = now_us()
if redis.call('HEXISTS', KEYS[1], 'a:' .. ARGV[1]) == 0 then return 0 end
consume(KEYS[1], ARGV[1])
if ARGV[2] ~= '' then
  local failures = redis.call('HINCRBY', KEYS[1], 'n', 1)
  local pause_ms = math.min(tonumber(ARGV[3]), tonumber(ARGV[2]) * 2 ^ math.min(failures - 1, 30))
  redis.call('HSET', KEYS[1], 'b', int(now + pause_ms * 1000))
  keep(KEYS[1], 2 * pause_ms + 10000)
end
wake(KEYS[1], now, ARGV[4], ARGV[5], ARGV[2] == '' and '0' or '1')
return 1
