-- Decide a batch of calls: read all states, decide all checks, and only then write. What a twin of `core` says of one
-- limit, this applies to several calls of several checks each, as if the calls had come one after the other.
--
-- Law: a call is charged by all its checks or by none; nothing is written before all is decided; every write has a
-- TTL.
--
-- ARGV[1] is the time in us, or '' for that of Redis: callers' clocks disagree. KEYS[i] belongs to the step
-- ARGV[i + 1]:
--
--     a 2 0 1 0 b 1 600000 100 0     admit: checks of this call, watches, cost, max_wait_us, limit
--     c 0 1 1 0 f 100 60000000       the next check of the same call
--     p 1 0 1 0 b ...                peek: like admit, but nothing is written
--     o 0 0 7 0 b ...                owe: charge whether or not there is room
--     g 2 1700000000000000 1700000000000000 3 600000 0 b ...
--                                    give back: cost, era, and of the charge: time, cost, the debt it left, did it wait
--     f                              forget
--
-- Stored is `limit:era state`. The era names one life of a state: a number of its own from its birth, and one more
-- each time the state is moved by a clock that stepped back, or by other numbers. A charge is given back to its own
-- era only.
--
-- The answer is one text of integers: the time, then for each admit or peek 1 or 0, and for each of its checks the era
-- and the state at this moment, before any charge.

local call, sub = redis.call, string.sub
local MOST_MS = 10^13

local time = call('TIME')
local born_us = time[1] * 1000000.0 + time[2]  -- never the same in two scripts, as an injected time may be
local now_us, least_ms = born_us, 1
if ARGV[1] ~= '' then
  now_us, least_ms = ARGV[1] + 0.0, 60000  -- Redis goes on counting real time
end
local born = digits(born_us)

-- Limits and steps come again and again: each text is parsed once -----------------------------------------------------

local TWINS = {b = token_bucket, q = token_bucket, w = sliding_window, f = fixed_window, l = sliding_log}
local twins, limits, steps, plan = {}, {}, {}, {}

local function twin_of(letter)
  local make = TWINS[letter]
  if make and not twins[make] then twins[make] = make() end
  return make and twins[make]
end

-- Return the limit of a text such as `b 1 600000 100 0`, always the same table; false if it is none.
local function limit_of(text)
  local limit = limits[text]
  if limit == nil then
    local letter, first, second, third, fourth = match(text, '^(%l) ([1-9]%d*) ([1-9]%d*) ?(%d*) ?(%d*)$')
    local twin = twin_of(letter or '')
    limit = twin and twin.limit(number(first), number(second), number(third), number(fourth)) or false
    if limit then limit.twin, limit.letter, limit.header = twin, letter, text .. ':' end
    limits[text] = limit
  end
  return limit
end

local function step_of(text)
  local op, checks, watches, cost, max_wait_us, limit = match(text, '^([acop]) (%d+) (%d) (%d+) (%d+) (.+)$')
  if op then
    local asks = op == 'a' or op == 'p'
    return {
      op = op, asks = asks, peeks = op == 'p', checks = number(checks), watches = watches == '1',
      cost = number(cost), max_wait_us = number(max_wait_us), limit = limit_of(limit),
    }
  end
  local era, at_us, charged, debt, waited
  local pattern = '^g (%d+) (%d+) (%-?%d+) (%d+) (%d+) (%d) (.+)$'
  cost, era, at_us, charged, debt, waited, limit = match(text, pattern)
  if not cost then return {op = text} end
  local charge = {at_us = number(at_us), cost = number(charged), debt = number(debt), waited = waited == '1'}
  return {op = 'g', cost = number(cost), era = era, charge = charge, limit = limit_of(limit)}
end

for place = 1, #KEYS do
  local text = ARGV[place + 1]
  local step = steps[text]
  if not step then
    step = step_of(text)
    steps[text] = step
  end
  plan[place] = step
end

-- What is stored, as this batch will leave it -------------------------------------------------------------------------

local NOTHING = {}
local held, changed = {}, {}

-- Return what is kept under a key: the limit it was written under (nil: nothing that this algorithm can read), its
-- era, and its state in two values, of which an algorithm may leave the second empty.
local function read(key, limit)
  local kept = changed[key]
  if kept then return kept end
  kept = held[key]
  if kept and kept.limit.letter == limit.letter then return kept end
  local twin, written, header = limit.twin, limit, limit.header
  local text = twin.load and twin.load(key) or call('GET', key)
  if not text then return NOTHING end
  if sub(text, 1, #header) ~= header then
    written = limit_of(match(text, '^[^:]*'))
    if not written or written.letter ~= limit.letter then return NOTHING end
  end
  local era, first, second = twin.parse(text, #written.header + 1, key)
  if not era then return NOTHING end
  kept = {limit = written, era = era, first = first, second = second}
  held[key] = kept
  return kept
end

-- What is born after this in the same batch is another life.
local function end_life()
  born_us = born_us + 1
  born = digits(born_us)
end

local function write(key, kept, limit, era, first, second)
  if kept == NOTHING then
    kept = {limit = limit, era = era, first = first, second = second}
  else
    if kept.limit.letter ~= limit.letter then end_life() end
    kept.limit, kept.era, kept.first, kept.second = limit, era, first, second
  end
  changed[key] = kept
end

-- Return the state at this moment in the numbers of `limit`, its era, and whether the clock stepped back behind it.
local function standing(kept, limit)
  local twin, written = limit.twin, kept.limit
  if not written or written.letter ~= limit.letter then
    local first, second = twin.fresh(limit, now_us)
    return first, second, born, false
  end
  local first, second, era = kept.first, kept.second, kept.era
  if written ~= limit then first, second = twin.adopt(limit, first, second, written) end
  local ahead = twin.is_ahead(limit, first, second, now_us)
  if ahead or written ~= limit then era = digits(era + 1) end
  first, second = twin.at(limit, first, second, now_us)
  return first, second, era, ahead
end

-- The steps -----------------------------------------------------------------------------------------------------------

local reply, said = {digits(now_us)}, 1

-- Charge, if it shall, whether or not there is room. That the clock stepped back is written down in any case.
local function commit(key, step, charges)
  local limit, kept = step.limit, read(key, step.limit)
  local first, second, era, ahead = standing(kept, limit)
  charges = charges and step.cost > 0
  if charges then first, second = limit.twin.charge(limit, first, second, now_us, step.cost) end
  if charges or ahead then write(key, kept, limit, era, first, second) end
end

-- Decide a call: ask all its checks, and charge all of them, if all that do not just watch allow it.
local function decide(start, last)
  local verdict, allowed, allows = said + 1, true, {}
  said = verdict
  for place = start, last do
    local step = plan[place]
    local limit = step.limit
    local first, second, era = standing(read(KEYS[place], limit), limit)
    allows[place] = limit.twin.ask(limit, first, second, now_us, step.cost, step.max_wait_us)
    allowed = allowed and (allows[place] or step.watches)
    reply[said + 1] = era
    reply[said + 2] = limit.twin.told(limit, first, second, step.cost)
    said = said + 2
  end
  reply[verdict] = allowed and '1' or '0'
  if plan[start].peeks then return end
  for place = start, last do
    commit(KEYS[place], plan[place], allowed and allows[place])
  end
end

-- Decide a call of one check, as most are: the same, but what was asked is charged without looking it up again.
local function decide_one(key, step)
  local limit, kept = step.limit, read(key, step.limit)
  local twin, cost = limit.twin, step.cost
  local first, second, era, ahead = standing(kept, limit)
  local allowed = twin.ask(limit, first, second, now_us, cost, step.max_wait_us)
  reply[said + 1] = (allowed or step.watches) and '1' or '0'
  reply[said + 2] = era
  reply[said + 3] = twin.told(limit, first, second, cost)
  said = said + 3
  if step.peeks then return end
  local charges = allowed and cost > 0
  if charges then first, second = twin.charge(limit, first, second, now_us, cost) end
  if charges or ahead then write(key, kept, limit, era, first, second) end
end

local function give_back(key, step)
  local limit, kept, charge = step.limit, read(key, step.limit), step.charge
  if kept.limit ~= limit or kept.era ~= step.era or now_us < charge.at_us then return end
  local first, second = kept.first, kept.second
  if limit.twin.is_ahead(limit, first, second, now_us) then return end
  first, second = limit.twin.give_back(limit, first, second, now_us, step.cost, charge)
  if first ~= kept.first or second ~= kept.second then write(key, kept, limit, kept.era, first, second) end
end

local place, last = 1, #KEYS
while place <= last do
  local key, step = KEYS[place], plan[place]
  local size = step.asks and step.checks or 1
  if size > 1 then
    decide(place, place + size - 1)
  elseif step.asks then
    decide_one(key, step)
  elseif step.op == 'o' then
    commit(key, step, true)
  elseif step.op == 'g' then
    give_back(key, step)
  else
    if changed[key] then end_life() end
    changed[key] = NOTHING
  end
  place = place + size
end

-- The writes ----------------------------------------------------------------------------------------------------------

for key, kept in pairs(changed) do
  local limit, first, second = kept.limit, kept.first, kept.second
  local idle_us = limit and limit.twin.idle_us(limit, first, second, now_us) or 0
  if idle_us <= 0 then
    call('DEL', key)
  else
    local lifetime_ms = digits(min(max(ceil(idle_us / 1000), least_ms), MOST_MS))
    if limit.twin.store then
      limit.twin.store(key, limit.header .. kept.era .. ' ', first, second, lifetime_ms)
    else
      call('PSETEX', key, lifetime_ms, limit.header .. kept.era .. ' ' .. limit.twin.text(first, second))
    end
  end
end

return table.concat(reply, ' ')
