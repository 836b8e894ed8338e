-- Sliding window: never more than the limit, wherever one begins to count.
-- Twin of src/guardrail/core/sliding_window.py.
--
-- Law: the same integers as there, and all counters together do not pass 2^53.
--
-- A limit is (limit, window_us), its state {index, count, index, count, ...}, oldest first.

local concat, gmatch = table.concat, string.gmatch
local LONGEST = 33  -- characters of two numbers
local SUB_WINDOWS = 10

local sliding_window = {}

function sliding_window.limit(limit, window_us)
  if not (limit and window_us) then return end
  return {limit = limit, window_us = window_us, sub_us = ceil(window_us / SUB_WINDOWS)}
end

local function gone_us(limit, index)
  return (index + SUB_WINDOWS + 1) * limit.sub_us
end

-- Move all by `by_us`: each counter to where its last microsecond comes to lie, none beyond `newest`.
local function placed(limit, state, sub_us, by_us, newest)
  local counts = {}
  for i = 1, #state, 2 do
    local place = min(newest, floor(((state[i] + 1) * sub_us - 1 + by_us) / limit.sub_us))
    if counts[#counts - 1] == place then
      counts[#counts] = counts[#counts] + state[i + 1]
    else
      counts[#counts + 1] = place
      counts[#counts + 1] = state[i + 1]
    end
  end
  return counts
end

local function used(state)
  local sum = 0
  for i = 2, #state, 2 do sum = sum + state[i] end
  return sum
end

local function copy(state, first)
  local copied = {}
  for i = first, #state do copied[#copied + 1] = state[i] end
  return copied
end

function sliding_window.fresh(limit, now_us)
  return {}
end

function sliding_window.at(limit, state, _, now_us)
  local index = floor(now_us / limit.sub_us)
  if sliding_window.is_ahead(limit, state, _, now_us) then
    state = placed(limit, state, limit.sub_us, now_us - state[#state - 1] * limit.sub_us, index)
  end
  local first = 1
  while first < #state and state[first] < index - SUB_WINDOWS do first = first + 2 end
  return first == 1 and state or copy(state, first)
end

function sliding_window.is_ahead(limit, state, _, now_us)
  return #state > 0 and floor(now_us / limit.sub_us) < state[#state - 1]
end

function sliding_window.ask(limit, state, _, now_us, cost, max_wait_us)
  if cost == 0 then return true end
  if cost > limit.limit then return false end
  return used(state) <= limit.limit - cost  -- so that no sum passes 2^53
end

-- It changes the state in its place: what was charged is always written.
function sliding_window.charge(limit, state, _, now_us, cost)
  if cost == 0 then return state end
  local index = floor(now_us / limit.sub_us)
  cost = min(cost, LARGEST - used(state))
  if state[#state - 1] == index then
    state[#state] = state[#state] + cost
  else
    state[#state + 1] = index
    state[#state + 1] = cost
  end
  return state
end

function sliding_window.give_back(limit, state, _, now_us, cost, charge)
  local index = floor(charge.at_us / limit.sub_us)
  local place = 1
  while place < #state and state[place] < index do place = place + 2 end
  if now_us >= gone_us(limit, index) or state[place] ~= index then return state end
  state = copy(state, 1)
  state[place + 1] = state[place + 1] - cost
  if state[place + 1] <= 0 then
    table.remove(state, place)
    table.remove(state, place)
  end
  return state
end

function sliding_window.idle_us(limit, state, _, now_us)
  return #state == 0 and 0 or gone_us(limit, state[#state - 1]) - now_us
end

function sliding_window.adopt(limit, state, _, old)
  if limit.sub_us == old.sub_us or #state == 0 then return state end
  local begun_us = state[#state - 1] * old.sub_us
  local newest = floor((begun_us + old.sub_us - 1) / limit.sub_us)
  -- if that is still to come, `at` takes it for a clock that stepped back, and moves all by up to this much
  local moved_us = max(0, newest * limit.sub_us - begun_us)
  return placed(limit, state, old.sub_us, moved_us, newest)
end

-- state <-> text -----------------------------------------------------------------------------------------------------

function sliding_window.parse(text, start)
  local era, rest = match(text, '^(%d+) ([%d%- ]*)$', start)
  if not era then return end
  local state = {}
  for index, count in gmatch(rest, '(%-?%d+) (%d+)') do
    if #index + #count > LONGEST then return end
    state[#state + 1] = index + 0.0
    state[#state + 1] = count + 0.0
  end
  return era, state
end

local known = {}  -- indices are those of other keys too, and counts are told before they are written

function sliding_window.text(state)
  local numbers = {}
  for i = 1, #state do
    local number = state[i]
    local text = known[number] or digits(number)
    known[number], numbers[i] = text, text
  end
  return concat(numbers, ' ')
end

-- What is told of the state `at` this moment: how many numbers, and these.
function sliding_window.told(limit, state)
  if #state == 0 then return '0' end
  return #state .. ' ' .. sliding_window.text(state)
end

return sliding_window
