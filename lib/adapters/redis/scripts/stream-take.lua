-- Hands out what comes next, unless something is missing before it: that is told, and must be dealt with, first. One step, so that
-- nothing can be trimmed between the look and the read.
-- KEYS 1 stream. ARGV group, consumer, count, the last entry that this process saw ('' for none), the gap that was dealt with ('' for
-- none).
-- Gives {'none'}: there is no such group; {'gap', its name, reason}; {'read', last id, last entry's id or '', entries}.
local stream, group = known(KEYS[1], ARGV[1])
if not group then return { 'none' } end
local cursor, last_id = group['last-delivered-id'], stream['last-generated-id']
local length, first = stream['length'], stream['recorded-first-entry-id']
local removed, deleted = stream['entries-added'] - length, stream['max-deleted-entry-id']
local last = stream['last-entry'] and stream['last-entry'][1] or ''

-- An entry that was seen, that nobody trimmed or deleted, and that is not there: the server has come back with less.
local function went_back(seen)
  if seen == '' then return false end
  if after(seen, last_id) then return true end
  if length == 0 or after(first, seen) or not after(seen, deleted) then return false end
  return not there(KEYS[1], seen)
end

-- Everything up to the cursor is gone: then all that was ever removed beyond what was read is missing. A counter that the server does not
-- know may hide a gap.
local trimmed = length == 0 or after(first, cursor)
local read = group['entries-read']
local ahead = after(last_id, cursor)
local gap, reason
if went_back(ARGV[4]) then
  gap, reason = 'back:' .. ARGV[4], 'the stream has come back without events that it had'
elseif ahead and trimmed and read and removed > read then
  gap, reason = 'trimmed:' .. int(removed), 'events were removed before anybody read them: ' .. int(removed - read)
elseif ahead and trimmed and not read and removed > 0 then
  gap, reason = 'trimmed:' .. int(removed), 'events may have been removed before anybody read them'
elseif ahead and after(deleted, cursor) then
  gap, reason = 'deleted:' .. deleted, 'events were removed before anybody read them'
end
if gap and gap ~= ARGV[5] then return { 'gap', gap, reason } end
-- From here on the counter is right again.
if gap and trimmed then redis.call('XGROUP', 'SETID', KEYS[1], ARGV[1], cursor, 'ENTRIESREAD', int(removed)) end
local taken = redis.call('XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', ARGV[3], 'STREAMS', KEYS[1], '>')
if taken then return { 'read', last_id, last, taken[1][2] } end
if ahead then redis.call('XGROUP', 'SETID', KEYS[1], ARGV[1], last_id, 'ENTRIESREAD', int(stream['entries-added'])) end
return { 'read', last_id, last, {} }
