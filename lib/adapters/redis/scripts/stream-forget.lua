-- Forgets consumers that are gone and have nothing pending.
-- KEYS 1 stream. ARGV group, ms after which one that is idle is taken for gone, then their names.
local _, group = known(KEYS[1], ARGV[1])
if not group then return 0 end
local names = {}
for i = 3, #ARGV do names[ARGV[i]] = true end
for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local consumer = named(flat)
  if names[consumer['name']] and consumer['pending'] == 0 and is_gone(consumer, ARGV[2]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer['name'])
  end
end
return 1
