-- Shared by every script. Times are microseconds of this server; a number becomes text by int(), since tostring() rounds them.
-- Lease hash: h holder token, x its expiry, a:<token> expiry of each attempt, r:<token> answer of a finished one,
-- w:<process> who waits, n failures in a row, b backing off until.
local function now_us()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

local function int(number)
  return string.format('%.0f', number)
end

-- The 64-byte header of an entry, or nil for nothing and for what is no entry.
local function header(key)
  local head = redis.pcall('GETRANGE', key, 0, 63)
  if type(head) ~= 'string' or #head < 64 or string.byte(head, 1) ~= 198 then return nil end
  return head
end

local function flag(head, bit_value)
  return bit.band(string.byte(head, 3), bit_value) ~= 0
end

-- Removed and hit-for-miss entries hold no value.
local function holds_value(head)
  return head ~= nil and not flag(head, 64) and not flag(head, 4)
end

-- Six bytes from a 1-based position, big-endian.
local function uint48(bytes, at)
  local value = 0
  for i = at, at + 5 do value = value * 256 + string.byte(bytes, i) end
  return value
end

-- Lua compares strings by locale; versions are bytes.
local function bytes_less(a, b)
  for i = 1, 8 do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x < y end
  end
  return false
end

-- Refuses versions older than this one for at least so long; what is refused already stays refused for as long.
local function raise_floor(key, version, ms)
  local floor = redis.call('GET', key)
  if floor and bytes_less(version, floor) then version = floor end
  redis.call('SET', key, version, 'PX', int(math.max(1, ms, redis.call('PTTL', key))))
end

-- What somebody else put under the lease's name must not keep the key uncached, or invalidations from it, for ever.
local function own(lease)
  local kind = redis.call('TYPE', lease).ok
  if kind ~= 'hash' and kind ~= 'none' then redis.call('DEL', lease) end
  return kind == 'hash'
end

-- Lets the lease hash live at least this long.
local function keep(lease, ms)
  if redis.call('PTTL', lease) < ms then redis.call('PEXPIRE', lease, int(ms)) end
end

-- Tells every process that waits for this key that the lease ended; loaded: '1' when its load came to an end, '0' when it was given up.
local function wake(lease, now, channel, key, loaded)
  for _, field in ipairs(redis.call('HKEYS', lease)) do
    if string.sub(field, 1, 2) == 'w:' then
      redis.call('HDEL', lease, field)
      redis.call('PUBLISH', channel .. string.sub(field, 3), 'w|' .. int(now) .. '|' .. key .. '|' .. loaded)
    end
  end
end

-- Voids every attempt; who waits is told by a broadcast.
local function void_all(lease)
  for _, field in ipairs(redis.call('HKEYS', lease)) do
    local kind = string.sub(field, 1, 2)
    if kind == 'a:' or kind == 'w:' then redis.call('HDEL', lease, field) end
  end
  redis.call('HDEL', lease, 'h', 'x')
end

-- Ends one attempt and frees the lease if it was this attempt's.
local function consume(lease, token)
  redis.call('HDEL', lease, 'a:' .. token)
  if redis.call('HGET', lease, 'h') == token then redis.call('HDEL', lease, 'h', 'x') end
end
