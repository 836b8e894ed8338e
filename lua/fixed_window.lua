-- Fixed window: a counter that starts again with every window. Twin of src/guardrail/core/fixed_window.py.
--
-- Law: the same integers as there, and no counter passes 2^53.
--
-- A limit is (limit, window_us), its state (window, count).

local LONGEST = 51  -- characters of three numbers

local fixed_window = {}

function fixed_window.limit(limit, window_us)
  if not (limit and window_us) then return end
  return {limit = limit, window_us = window_us}
end

function fixed_window.fresh(limit, now_us)
  return floor(now_us / limit.window_us), 0
end

function fixed_window.at(limit, window, count, now_us)
  local index = floor(now_us / limit.window_us)
  return index, index <= window and count or 0
end

function fixed_window.is_ahead(limit, window, count, now_us)
  return floor(now_us / limit.window_us) < window
end

function fixed_window.ask(limit, window, count, now_us, cost, max_wait_us)
  if cost == 0 then return true end
  if cost > limit.limit then return false end
  return count <= limit.limit - cost  -- so that no sum passes 2^53
end

function fixed_window.charge(limit, window, count, now_us, cost)
  return window, min(count + cost, LARGEST)
end

function fixed_window.give_back(limit, window, count, now_us, cost, charge)
  local charged = floor(charge.at_us / limit.window_us)
  if floor(now_us / limit.window_us) ~= charged then return window, count end
  return window, max(0, count - cost)
end

local function gone_us(limit, window)
  return (window + 1) * limit.window_us
end

function fixed_window.idle_us(limit, window, count, now_us)
  return count == 0 and 0 or gone_us(limit, window) - now_us
end

function fixed_window.adopt(limit, window, count, old)
  return floor((gone_us(old, window) - 1) / limit.window_us), count
end

-- state <-> text -----------------------------------------------------------------------------------------------------

function fixed_window.parse(text, start)
  if #text - start > LONGEST then return end
  local era, window, count = match(text, '^(%d+) (%-?%d+) (%d+)$', start)
  if era then return era, window + 0.0, count + 0.0 end
end

function fixed_window.text(window, count)
  return digits(window) .. ' ' .. digits(count)
end

-- What is told of the state `at` this moment: its window is known.
function fixed_window.told(limit, window, count)
  return digits(count)
end

return fixed_window
