-- Voids every attempt on a key and marks its value stale, or takes it away.
-- KEYS  1 entry  2 lease  3 version floor
-- ARGV  1 expire | remove | purge  2 life of a tombstone, ms  3 broadcast channel  4 key  5 version that is known, or ''
--       6 how long an older one is refused, ms
-- Gives the time, or 0 when what is cached is as new as the version.
local now = now_us()
local head = header(KEYS[1])
if ARGV[5] ~= '' then
  if holds_value(head) and flag(head, 16) and not bytes_less(string.sub(head, 35, 42), ARGV[5]) then return 0 end
  local floor = redis.call('GET', KEYS[3])
  if not floor or bytes_less(floor, ARGV[5]) then
    redis.call('SET', KEYS[3], ARGV[5], 'PX', int(math.max(1, tonumber(ARGV[6]), redis.call('PTTL', KEYS[3]))))
  end
end
own(KEYS[2])
void_all(KEYS[2])
if ARGV[1] == 'purge' or not head or flag(head, 4) or (ARGV[1] == 'expire' and flag(head, 1)) then
  redis.call('DEL', KEYS[1])
elseif not flag(head, 64) then
  local flags, now_ms = string.byte(head, 3), math.floor(now / 1000)
  if ARGV[1] == 'expire' then
    redis.call('SETRANGE', KEYS[1], 2, string.char(bit.bor(flags, 32)))
    if uint48(head, 19) > now_ms then
      redis.call('SETRANGE', KEYS[1], 18, struct.pack('>I6', now_ms))
    end
  else
    -- Header only, without metadata and payload: checksum and metadata length are zero.
    local tombstone = string.sub(head, 1, 2) .. string.char(bit.bor(flags, 64)) .. string.sub(head, 4, 58) .. string.rep('\0', 6)
    local life = math.max(1, math.min(tonumber(ARGV[2]), redis.call('PTTL', KEYS[1])))
    redis.call('SET', KEYS[1], tombstone, 'PX', int(life))
  end
end
redis.call('PUBLISH', ARGV[3], 'i|' .. int(now) .. '|' .. ARGV[4])
return int(now)
