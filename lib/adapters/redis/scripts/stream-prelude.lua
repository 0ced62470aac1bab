-- Shared by the scripts of streams, after the prelude.
-- What XINFO tells, as a table of names.
local function named(flat)
  local fields = {}
  for i = 1, #flat, 2 do fields[flat[i]] = flat[i + 1] end
  return fields
end

-- Whether an entry's id comes after another's; numbers of 64 bits are compared as texts.
local function after(a, b)
  local a_ms, a_seq = string.match(a, '(%d+)-(%d+)')
  local b_ms, b_seq = string.match(b, '(%d+)-(%d+)')
  if #a_ms ~= #b_ms then return #a_ms > #b_ms end
  if a_ms ~= b_ms then return a_ms > b_ms end
  if #a_seq ~= #b_seq then return #a_seq > #b_seq end
  return a_seq > b_seq
end

-- What is known of a stream and of one of its groups; nothing for what is not there.
local function known(key, group)
  if redis.call('EXISTS', key) == 0 then return nil, nil end
  local stream = named(redis.call('XINFO', 'STREAM', key))
  for _, flat in ipairs(redis.call('XINFO', 'GROUPS', key)) do
    local fields = named(flat)
    if fields['name'] == group then return stream, fields end
  end
  return stream, nil
end

-- The fingerprint of a consumer's rules, which stands between its process and, of one that has left, the word for that.
local function rules_of(consumer)
  return string.match(consumer, '~([^~]*)')
end

-- Whether a consumer is gone: it has left, or was idle for longer than so many ms.
local function is_gone(consumer, gone_ms)
  return string.match(consumer['name'], '~left$') ~= nil or consumer['idle'] > tonumber(gone_ms)
end

local function there(key, id)
  return #redis.call('XRANGE', key, id, id) > 0
end
