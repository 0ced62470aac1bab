-- Asks for the right to make a key's value.
-- KEYS  1 entry  2 lease
-- ARGV  1 token  2 id of the entry seen ('' none, '*' any)  3 exclusive | shared  4 lease ms  5 honour back-off (1 | 0)
--       6 process  7 deadline, ms
-- Gives {'granted', now} | {'changed', now, entry} | {'held', now, left} | {'backing-off', now, left} | {'late', now}; microseconds
local now = now_us()
if now > tonumber(ARGV[7]) * 1000 then return {'late', int(now)} end
local token, lease_us = ARGV[1], tonumber(ARGV[4]) * 1000

own(KEYS[2])

local mine = redis.call('HGET', KEYS[2], 'a:' .. token)
if mine and tonumber(mine) > now then return {'granted', int(now)} end

if ARGV[2] ~= '*' then
  local head = header(KEYS[1])
  if head and string.sub(head, 5, 12) ~= ARGV[2] and uint48(head, 25) * 1000 > now then return {'changed', int(now), redis.call('GET', KEYS[1])} end
end

local lease = redis.call('HMGET', KEYS[2], 'h', 'x', 'b')
local holder, expiry, back_off = lease[1], tonumber(lease[2] or 0), tonumber(lease[3] or 0)
if ARGV[5] == '1' and back_off > now then return {'backing-off', int(now), int(back_off - now)} end
if ARGV[3] == 'exclusive' and holder and expiry > now then
  redis.call('HSET', KEYS[2], 'w:' .. ARGV[6], '1')
  keep(KEYS[2], (expiry - now) / 1000 + 1000)
  return {'held', int(now), int(expiry - now)}
end
if holder and expiry <= now then consume(KEYS[2], holder) end

-- What died without a word is swept out before it piles up.
if redis.call('HLEN', KEYS[2]) > 64 then
  local all = redis.call('HGETALL', KEYS[2])
  for i = 1, #all, 2 do
    local prefix, rest = string.sub(all[i], 1, 2), all[i + 1]
    if (prefix == 'a:' and tonumber(rest) <= now) or prefix == 'r:' then redis.call('HDEL', KEYS[2], all[i]) end
  end
end

redis.call('HSET', KEYS[2], 'a:' .. token, int(now + lease_us))
if ARGV[3] == 'exclusive' then redis.call('HSET', KEYS[2], 'h', token, 'x', int(now + lease_us)) end
keep(KEYS[2], lease_us / 1000 + 1000)
return {'granted', int(now)}
