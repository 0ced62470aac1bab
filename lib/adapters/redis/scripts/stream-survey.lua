-- How old the oldest entry is that was not acknowledged. On the way, forgets consumers that were not heard of and have nothing pending;
-- those with other rules remain until somebody has made up for what they took.
-- KEYS 1 stream. ARGV group, consumer that asks, ms after which another one that is idle is forgotten ('' for none: then nobody looks at
-- consumers), ms after which one is taken for gone.
-- Gives {'none'}: there is no such group; {'known', ms since the Unix epoch, oldest id or '', names of the consumers that are not gone, of
-- those that are}.
local stream, group = known(KEYS[1], ARGV[1])
if not group then return { 'none' } end
local waiting = redis.call('XRANGE', KEYS[1], '(' .. group['last-delivered-id'], '+', 'COUNT', 1)[1]
local oldest = redis.call('XPENDING', KEYS[1], ARGV[1])[2] or waiting and waiting[1] or ''
local here, gone = {}, {}
if ARGV[3] ~= '' then
  -- A read of what the consumer was given beyond the last id: it finds nothing, and the consumer has been heard of. A read that finds
  -- nothing new leaves no trace in some versions.
  redis.call('XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', 1, 'STREAMS', KEYS[1], '18446744073709551615-0')
  for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
    local consumer = named(flat)
    local name = consumer['name']
    local kind = is_gone(consumer, ARGV[4]) and gone or here
    kind[#kind + 1] = name
    local idle = consumer['pending'] == 0 and consumer['idle'] > tonumber(ARGV[3])
    local alike = not rules_of(name) or rules_of(name) == rules_of(ARGV[2])
    if idle and alike and name ~= ARGV[2] then redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], name) end
  end
end
return { 'known', int(math.floor(now_us() / 1000)), oldest, here, gone }
