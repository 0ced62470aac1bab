-- Reads generations before a load, and creates those that this server process does not know.
-- KEYS  1.. generations
-- ARGV  1 life, ms  2 epoch
-- Gives the records '<value>,<removed>,<epoch>' in the order of KEYS
local records = {}
for i, key in ipairs(KEYS) do
  local record = redis.pcall('GET', key)
  local value, removed, epoch
  if type(record) == 'string' then value, removed, epoch = string.match(record, '^(%d+),(%d+),(%d+)$') end
  if epoch == ARGV[2] then
    if redis.call('PTTL', key) < tonumber(ARGV[1]) then redis.call('PEXPIRE', key, ARGV[1]) end
  else
    record = int(math.max(now_us(), tonumber(value or 0) + 1)) .. ',' .. (removed or '0') .. ',' .. ARGV[2]
    redis.call('SET', key, record, 'PX', ARGV[1])
  end
  records[i] = record
end
return records
