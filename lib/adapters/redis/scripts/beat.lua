-- Proves that this server answers and that messages from it arrive; tells how many processes do so.
-- KEYS  1 processes by their last beat (none on servers that do not keep them)
-- ARGV  1 channel of this process  2 message  3 process  4 settled (1 | 0)  5 how long a beat counts, ms
--       6 how long ago the process found the store again, ms  7 since when it knows of others ('' both: it was not away)
--       8 when the beat was sent, ms  9 deadline, ms
-- Gives {now, live, unsettled}; live is -1 when it is not known, because the server refuses what processes write
local now = now_us()
-- Held up on its way, it tells of a time that is over: what the process has settled may have changed since.
if now > tonumber(ARGV[9]) * 1000 then return {int(now), '-1', '1'} end
local live_us = tonumber(ARGV[5]) * 1000
if #KEYS == 1 then
  -- What cannot be written to is no master any more.
  local swept = redis.pcall('ZREMRANGEBYSCORE', KEYS[1], '-inf', int(now - 20 * live_us))
  if type(swept) == 'table' and swept.err then
    if string.find(swept.err, 'READONLY', 1, true) then return redis.error_reply(swept.err) end
    if string.find(swept.err, 'WRONGTYPE', 1, true) then redis.call('DEL', KEYS[1]) end
  end
end
redis.call('PUBLISH', ARGV[1], ARGV[2])
if #KEYS == 0 then return {int(now), '0', '0'} end
-- That it has settled was so when it was sent. A server that is full or has lost its replicas refuses it; messages go through all the same.
if ARGV[4] == '1' and type(redis.pcall('ZADD', KEYS[1], int(math.min(now, tonumber(ARGV[8]) * 1000)), ARGV[3])) == 'table' then return {int(now), '-1', '1'} end
redis.pcall('PEXPIRE', KEYS[1], int(live_us / 50))
local function between(from, to)
  local count = redis.pcall('ZCOUNT', KEYS[1], from, to)
  return type(count) == 'number' and count or 0
end
local live, unsettled = between(int(now - live_us), '+inf'), 0
if ARGV[6] ~= '' then
  local back = now - tonumber(ARGV[6]) * 1000
  unsettled = between(int(now - tonumber(ARGV[7]) * 1000), '(' .. int(back))
end
return {int(now), int(live), int(unsettled)}
