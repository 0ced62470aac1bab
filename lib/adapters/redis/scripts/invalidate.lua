-- Voids every attempt on a key and marks its value stale, or takes it away.
-- KEYS  1 entry  2 lease
-- ARGV  1 expire | remove | purge  2 life of a tombstone, ms  3 broadcast channel  4 key
local now = now_us()
own(KEYS[2])
void_all(KEYS[2])
local head = header(KEYS[1])
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
