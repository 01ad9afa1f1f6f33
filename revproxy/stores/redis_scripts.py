"""What is done in Redis in one piece: Lua, so that nobody sees half of it.

Names, all behind a prefix (``P``), with a lifetime each:

``P k:<key>``     a hash for all responses under a primary key (its hash, 32 hex digits). Fields: ``o`` the ids (16 hex
                  digits each), the newest first; and for an id: ``r`` its record, ``s`` a hash of its selecting fields,
                  ``b`` its content if small, ``c`` how many chunks if large, ``l`` hashes of its labels, ``i`` if it is
                  invalidated.
``P b:<id>:<n>``  a chunk of large content.
``P l:<label>``   a set of key and id, of who has a label.
``P last``        the number of the last change; every one is also published, number and all, under ``P changes``.
``P orders``      the last purges and invalidations, each with its number, for fillings that began before.

Redis may throw things away by itself (``volatile-ttl`` suits: a label lives at least as long as who has it). So sets
may name who is gone: every addition looks at one member and removes it if so.
"""

from __future__ import annotations

from typing import Final

_COMMON: Final = """
local P = ARGV[1]
local function labels(key, id, add)
  local all = redis.call('HGET', P..'k:'..key, 'l'..id) or ''
  for at = 1, #all, 32 do
    local set = P..'l:'..string.sub(all, at, at + 31)
    if add then
      redis.call('SADD', set, key..id)
      redis.call('EXPIRE', set, add)
      local one = redis.call('SRANDMEMBER', set)
      if one and redis.call('HEXISTS', P..'k:'..string.sub(one, 1, 32), 'r'..string.sub(one, 33)) == 0 then
        redis.call('SREM', set, one)
      end
    else
      redis.call('SREM', set, key..id)
    end
  end
end
local function forget(key, id)
  local k = P..'k:'..key
  labels(key, id, nil)
  for n = 1, tonumber(redis.call('HGET', k, 'c'..id) or '0') do
    redis.call('UNLINK', P..'b:'..id..':'..(n - 1))
  end
  return redis.call('HDEL', k, 'r'..id, 's'..id, 'b'..id, 'c'..id, 'l'..id, 'i'..id) > 0
end
local function drop(key, id)
  local k = P..'k:'..key
  local there = forget(key, id)
  local kept = ''
  local order = redis.call('HGET', k, 'o') or ''
  for at = 1, #order, 16 do
    local other = string.sub(order, at, at + 15)
    if other ~= id then kept = kept..other end
  end
  if kept == '' then redis.call('UNLINK', k) else redis.call('HSET', k, 'o', kept) end
  return there
end
local function tell(change)
  local number = redis.call('INCR', P..'last')
  redis.call('PUBLISH', P..'changes', number..' '..change)
  return number
end
"""

STORE: Final = (
    _COMMON
    + """
local key, id, fresh, began, most, ttl = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
local record, selecting, body, chunks, names, change = ARGV[8], ARGV[9], ARGV[10], ARGV[11], ARGV[12], ARGV[13]
local k = P..'k:'..key
if fresh == '' then
  local orders = redis.call('LRANGE', P..'orders', 0, -1)
  local news = {}
  for at = 1, #orders do
    local number = tonumber(string.match(orders[at], '^%d+'))
    if number <= began then break end
    -- Its own orders a store checks itself.
    local said = string.find(orders[at], ' ') + 1
    if string.sub(orders[at], said, said + 15) ~= string.sub(change, 1, 16) then news[#news + 1] = orders[at] end
  end
  if #news > 0 then return news end
elseif redis.call('HEXISTS', k, 'r'..id) == 0 then
  return 0
end
local order = redis.call('HGET', k, 'o') or ''
local kept = id
for at = 1, #order, 16 do
  local other = string.sub(order, at, at + 15)
  if other ~= id then
    if redis.call('HGET', k, 's'..other) == selecting or #kept >= 16 * most then
      forget(key, other)
    else
      kept = kept..other
    end
  end
end
if fresh == '' then
  if chunks == '0' then redis.call('HSET', k, 'b'..id, body) end
  redis.call('HSET', k, 'c'..id, chunks)
else
  labels(key, id, nil)
  if fresh == 'validated' then redis.call('HDEL', k, 'i'..id) end
  for n = 1, tonumber(redis.call('HGET', k, 'c'..id) or '0') do
    redis.call('EXPIRE', P..'b:'..id..':'..(n - 1), ttl)
  end
end
redis.call('HSET', k, 'o', kept, 'r'..id, record, 's'..id, selecting, 'l'..id, names)
redis.call('EXPIRE', k, ttl)
labels(key, id, ttl)
if order ~= '' then tell(change) end
return 1
"""
)
"""Stores a response (1), or says which orders came since it began; with ``fresh``, gives one another head (1 or 0)."""

REMOVE: Final = (
    _COMMON
    + """
if drop(ARGV[2], ARGV[3]) then tell(ARGV[4]) end
return 1
"""
)

ORDER: Final = (
    _COMMON
    + """
local number = tell(ARGV[2])
redis.call('LPUSH', P..'orders', number..' '..ARGV[2])
redis.call('LTRIM', P..'orders', 0, tonumber(ARGV[3]) - 1)
local count = 0
if ARGV[4] ~= '' then
  local k = P..'k:'..ARGV[4]
  local order = redis.call('HGET', k, 'o') or ''
  for at = 1, #order, 16 do
    redis.call('HSET', k, 'i'..string.sub(order, at, at + 15), '1')
    count = count + 1
  end
end
return count
"""
)
"""Notes an order; invalidates what is under a key, if one is given. How many those are."""

ACT: Final = (
    _COMMON
    + """
local count = 0
for at = 3, #ARGV do
  local key, id = string.sub(ARGV[at], 1, 32), string.sub(ARGV[at], 33)
  local k = P..'k:'..key
  if ARGV[2] == 'mark' then
    if redis.call('HEXISTS', k, 'r'..id) == 1 then
      redis.call('HSET', k, 'i'..id, '1')
      count = count + 1
    end
  elseif id ~= '' then
    if drop(key, id) then count = count + 1 end
  else
    local order = redis.call('HGET', k, 'o') or ''
    for place = 1, #order, 16 do
      if forget(key, string.sub(order, place, place + 15)) then count = count + 1 end
    end
    redis.call('UNLINK', k)
  end
end
return count
"""
)
"""Drops or marks members (key and id; a key alone is all of it). How many those were."""
