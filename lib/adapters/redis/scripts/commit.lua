-- Makes a loaded or written value the cached one, if its attempt is still valid. The same token gets the same answer again.
-- KEYS  1 entry  2 lease  3 version floor
-- ARGV  1 token  2 fill | put | extend | clear  3 entry bytes  4 hard expiry, ms  5 id of the entry seen  6 version window, ms
--       7 wake channel prefix  8 broadcast channel  9 key  10 deadline, ms
-- Gives {'committed' | 'fenced-token' | 'fenced-version' | 'superseded' | 'late', now}
local now = now_us()
local token, kind, bytes, key = ARGV[1], ARGV[2], ARGV[3], ARGV[9]
local answer = redis.call('HGET', KEYS[2], 'r:' .. token)
if answer then return {answer, int(now)} end
if now > tonumber(ARGV[10]) * 1000 then return {'late', int(now)} end

local function finish(outcome)
  consume(KEYS[2], token)
  wake(KEYS[2], now, ARGV[7], key, '1')
  redis.call('HSET', KEYS[2], 'r:' .. token, outcome)
  keep(KEYS[2], 10000)
  return {outcome, int(now)}
end

local mine = redis.call('HGET', KEYS[2], 'a:' .. token)
if not mine or tonumber(mine) <= now then return finish('fenced-token') end

local old = header(KEYS[1])
if kind == 'extend' and (not old or string.sub(old, 5, 12) ~= ARGV[5]) then return finish('superseded') end

local versioned = bytes ~= '' and flag(bytes, 16)
if versioned then
  local version, floor = string.sub(bytes, 35, 42), redis.call('GET', KEYS[3])
  if floor and bytes_less(version, floor) then return finish('fenced-version') end
  if old and flag(old, 16) and bytes_less(version, string.sub(old, 35, 42)) then return finish('fenced-version') end
end
local function began_later()
  local began = uint48(old, 13)
  -- What claims to begin in the future is nobody's rival.
  return began > uint48(bytes, 13) and began * 1000 <= now
end
if kind == 'fill' and holds_value(old) and began_later() then return finish('superseded') end

local hard_ms = tonumber(ARGV[4])
local left_ms = hard_ms - math.floor(now / 1000)
if bytes ~= '' and left_ms > 0 then
  redis.call('SET', KEYS[1], bytes, 'PX', int(left_ms))
else
  redis.call('DEL', KEYS[1])
end
if versioned then
  raise_floor(KEYS[3], string.sub(bytes, 35, 42), math.max(1, left_ms) + tonumber(ARGV[6]))
end

redis.call('HDEL', KEYS[2], 'n', 'b')
if kind == 'put' then
  void_all(KEYS[2])
  redis.call('PUBLISH', ARGV[8], 'i|' .. int(now) .. '|' .. key)
elseif holds_value(old) and not flag(old, 32) and uint48(old, 19) * 1000 > now and string.sub(old, 5, 12) ~= string.sub(bytes, 5, 12) then
  redis.call('PUBLISH', ARGV[8], 'r|' .. key)
end
return finish('committed')
