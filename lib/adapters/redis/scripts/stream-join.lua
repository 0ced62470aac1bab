-- Creates a group that is not there. Events that it will not read are told first, and the group is created with the second call: whoever
-- is told and dies has not hidden it.
-- KEYS 1 stream. ARGV group, from ('start' or 'end'), 1 to be told in any case, then in the second call: where it begins, how many
-- entries lie before that.
-- Gives {'there'}, {'created'}, or {'missed', where it would begin, how many entries lie before that}.
local stream, group = known(KEYS[1], ARGV[1])
if group then return { 'there' } end
local at, before = ARGV[4], ARGV[5]
if not at then
  local added, removed, last = 0, 0, '0-0'
  if stream then
    added, last = stream['entries-added'], stream['last-generated-id']
    removed = added - stream['length']
  end
  local from_start = ARGV[2] == 'start'
  at, before = from_start and '0-0' or last, int(from_start and removed or added)
  if before ~= '0' or ARGV[3] == '1' then return { 'missed', at, before } end
end
redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[1], at, 'MKSTREAM', 'ENTRIESREAD', before)
return { 'created' }
