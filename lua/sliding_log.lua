-- Sliding log: the exact one, which remembers when each unit was taken. Twin of src/guardrail/core/sliding_log.py.
--
-- Law: it says what the twin says, and reads and writes O(log n) of its n entries but where it gives back or compacts.
--
-- A limit is (limit, window_us). What is stored is a head of fixed width and entries of fixed width, oldest first:
--
--     l 100 60000000:era shift_us gone base|time total|time total|...
--
-- Each entry has the total of units up to it, so that the units between any two are one subtraction: modulo 10^15, so
-- that totals never end. The first `gone` entries do not count any more, and end at total `base`. A clock that steps
-- back moves all times at once: `shift_us` is added to each.
--
-- The state is {entries, first, base, shift_us}: a view of entries that states share. What charges or gives back, and
-- only that, changes the entries: it is always written.

local concat, sub = table.concat, string.sub
local call = redis.call
local HEAD, ENTRY, TIME = 96, 32, 17
local MODULUS = 10^15
local MOST_TOLD = 32  -- entries; of a call that needs more of them to leave, the first are told as one
local MOST_OWED = 10^9  -- all of an entry leaves at once: more than any limit is as good as any number

local sliding_log = {}

function sliding_log.limit(limit, window_us)
  if not (limit and window_us) then return end
  return {limit = limit, window_us = window_us}
end

-- Read a part of what is stored, from one byte to before another.
local function range(key, first, last)
  return call('GETRANGE', key, digits(first), digits(last - 1))
end

local function offset(place)
  return HEAD + (place - 1) * ENTRY
end

-- Read the entry at a place from Redis, unless this batch has read or changed it. One that cannot be read is as old as
-- can be.
local function entry(entries, place)
  local time_us = entries.times[place]
  if not time_us then
    local text = range(entries.key, offset(place), offset(place + 1))
    time_us = (tonumber(sub(text, 1, TIME)) or 0) + 0.0
    entries.times[place] = time_us
    entries.totals[place] = (tonumber(sub(text, TIME + 1)) or 0) + 0.0
  end
  return time_us, entries.totals[place]
end

local function time_at(state, place)
  return entry(state.entries, place) + state.shift_us
end

-- How many units there are up to a place, of those that count.
local function units_to(state, place)
  if place < state.first then return 0 end
  local _, total = entry(state.entries, place)
  return (total - state.base) % MODULUS
end

local function used(state)
  return units_to(state, state.entries.count)
end

-- Where the first entry stands for which `reached` is true; all after it are.
local function bisect(state, reached)
  local low, high = state.first, state.entries.count + 1
  if low == high or reached(low) then return low end  -- mostly nothing has left since the last call
  while low < high do
    local middle = floor((low + high) / 2)
    if reached(middle) then high = middle else low = middle + 1 end
  end
  return low
end

local function first_after(state, time_us)
  return bisect(state, function(place) return time_at(state, place) > time_us end)
end

local function newest_us(state)
  return time_at(state, state.entries.count)
end

local function is_empty(state)
  return state.first > state.entries.count
end

function sliding_log.fresh(limit, now_us)
  local entries = {count = 0, stored = 0, times = {}, totals = {}}
  return {entries = entries, first = 1, base = 0, shift_us = 0}
end

function sliding_log.at(limit, state, _, now_us)
  local step_us = sliding_log.is_ahead(limit, state, _, now_us) and newest_us(state) - now_us or 0
  state = {entries = state.entries, first = state.first, base = state.base, shift_us = state.shift_us - step_us}
  local first = first_after(state, now_us - limit.window_us)
  state.base = (state.base + units_to(state, first - 1)) % MODULUS
  state.first = first
  return state
end

function sliding_log.is_ahead(limit, state, _, now_us)
  return not is_empty(state) and now_us < newest_us(state)
end

function sliding_log.ask(limit, state, _, now_us, cost, max_wait_us)
  if cost == 0 then return true end
  if cost > limit.limit then return false end
  return used(state) + cost - limit.limit <= 0
end

-- Put an entry in its place. From there on nothing is as it is stored.
local function put(entries, place, time_us, total)
  entries.times[place], entries.totals[place] = time_us, total
  entries.stored = min(entries.stored, place - 1)
  entries.count = max(entries.count, place)
end

function sliding_log.charge(limit, state, _, now_us, cost)
  if cost == 0 then return state end
  local entries = state.entries
  local total = (state.base + used(state) + min(cost, MOST_OWED)) % MODULUS
  local place = entries.count + 1
  if not is_empty(state) and newest_us(state) == now_us then place = entries.count end
  put(entries, place, now_us - state.shift_us, total)
  return state
end

function sliding_log.give_back(limit, state, _, now_us, cost, charge)
  local entries = state.entries
  local place = first_after(state, charge.at_us - 1)
  if now_us >= charge.at_us + limit.window_us or place > entries.count then return state end
  if time_at(state, place) ~= charge.at_us then return state end
  local units = units_to(state, place) - units_to(state, place - 1)
  local emptied = units <= cost and 1 or 0
  for i = place + emptied, entries.count do
    local time_us, total = entry(entries, i)
    put(entries, i - emptied, time_us, (total - min(units, cost)) % MODULUS)
  end
  entries.stored = min(entries.stored, place - 1)
  entries.count = entries.count - emptied
  return {entries = entries, first = state.first, base = state.base, shift_us = state.shift_us}
end

function sliding_log.idle_us(limit, state, _, now_us)
  return is_empty(state) and 0 or newest_us(state) + limit.window_us - now_us
end

function sliding_log.adopt(limit, state, _, old)
  return state
end

-- state <-> text -----------------------------------------------------------------------------------------------------

-- Read the head: the part that says what the others are.
function sliding_log.load(key)
  return range(key, 0, HEAD)
end

function sliding_log.parse(text, start, key)
  local era, shift_us, gone, base = match(text, '^(%d+) (%-?%d+) (%d+) (%d+) *$', start)
  if not era or #text ~= HEAD then return end
  local count = floor((call('STRLEN', key) - HEAD) / ENTRY)
  local entries = {key = key, length = count, count = count, stored = count, times = {}, totals = {}}
  return era, {entries = entries, first = min(gone + 0.0, count) + 1, base = base + 0.0, shift_us = shift_us + 0.0}
end

local function texts(entries, first)
  local written = {}
  for i = first, entries.count do
    written[#written + 1] = format('%017.0f%015.0f', entries.times[i], entries.totals[i])
  end
  return concat(written)
end

local function head(header, state, first)
  return format('%-96s', header .. format('%.0f %.0f %.0f', state.shift_us, first - 1, state.base))
end

-- Write what has changed; all that counts, where entries went away or more than half of them do not count any more.
function sliding_log.store(key, header, state, _, lifetime_ms)
  local entries, first = state.entries, state.first
  if entries.key and entries.count >= entries.length and first - 1 <= entries.count / 2 then
    call('SETRANGE', key, '0', head(header, state, first))
    call('SETRANGE', key, digits(offset(entries.stored + 1)), texts(entries, entries.stored + 1))
    call('PEXPIRE', key, lifetime_ms)
  else
    local unchanged = entries.stored >= first and range(key, offset(first), offset(entries.stored + 1)) or ''
    local changed = texts(entries, max(first, entries.stored + 1))
    call('PSETEX', key, lifetime_ms, head(header, state, 1) .. unchanged .. changed)
  end
end

-- What is told of the state `at` this moment, as pairs of time and units: what says the same of this cost until the
-- call may go ahead, and of all that is used. Those up to the one whose leaving lets the call in, then the newest with
-- the rest.
function sliding_log.told(limit, state, _, cost)
  if is_empty(state) then return '0' end
  local all, newest = used(state), state.entries.count
  local excess = all + cost - limit.limit
  local leaving = state.first - 1
  if excess > 0 and cost > 0 and cost <= limit.limit then
    leaving = bisect(state, function(place) return units_to(state, place) >= excess end)
  end
  local told, units = {}, 0
  for place = max(state.first, leaving - MOST_TOLD + 1), leaving do
    told[#told + 1] = digits(time_at(state, place))
    told[#told + 1] = digits(units_to(state, place) - units)
    units = units_to(state, place)
  end
  if leaving < newest then
    told[#told + 1] = digits(newest_us(state))
    told[#told + 1] = digits(all - units)
  end
  return #told .. ' ' .. concat(told, ' ')
end

return sliding_log
