-- Voids every attempt on keys and marks their values stale, or takes them away.
-- KEYS  for each: entry, lease, version floor
-- ARGV  1 life of a tombstone, ms  2 broadcast channel
--       then for each: expire | remove | purge, key, version that is known or '', how long an older one is refused in ms
-- What is cached and as new as the version is left alone.
local now = now_us()
local now_ms, life, channel = math.floor(now / 1000), tonumber(ARGV[1]), ARGV[2]

-- Whether there is anything to invalidate for those who know that the source has reached the version.
local function outdated(head, floor_key, version, window)
  if holds_value(head) and flag(head, 16) and not bytes_less(string.sub(head, 35, 42), version) then return false end
  raise_floor(floor_key, version, tonumber(window))
  return true
end

local function spoil(entry, head, mode)
  if mode == 'purge' or not head or flag(head, 4) or (mode == 'expire' and flag(head, 1)) then
    redis.call('DEL', entry)
  elseif not flag(head, 64) then
    local flags = string.byte(head, 3)
    if mode == 'expire' then
      redis.call('SETRANGE', entry, 2, string.char(bit.bor(flags, 32)))
      if uint48(head, 19) > now_ms then
        redis.call('SETRANGE', entry, 18, struct.pack('>I6', now_ms))
      end
    else
      -- Header only, without metadata and payload: checksum and metadata length are zero.
      local tombstone = string.sub(head, 1, 2) .. string.char(bit.bor(flags, 64)) .. string.sub(head, 4, 58) .. string.rep('\0', 6)
      redis.call('SET', entry, tombstone, 'PX', int(math.max(1, math.min(life, redis.call('PTTL', entry)))))
    end
  end
end

for i = 0, #KEYS / 3 - 1 do
  local entry, lease, floor_key = KEYS[3 * i + 1], KEYS[3 * i + 2], KEYS[3 * i + 3]
  local mode, key, version, window = ARGV[4 * i + 3], ARGV[4 * i + 4], ARGV[4 * i + 5], ARGV[4 * i + 6]
  local head = header(entry)
  if version == '' or outdated(head, floor_key, version, window) then
    if own(lease) then void_all(lease) end
    spoil(entry, head, mode)
    redis.call('PUBLISH', channel, 'i|' .. int(now) .. '|' .. key)
  end
end
return int(now)
