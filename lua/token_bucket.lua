-- Token bucket: bursts up to the capacity, then a steady refill. Twin of src/guardrail/core/token_bucket.py.
--
-- Law: the same integers as there. They stay below 2^53, where doubles are exact and so is the ceil of a quotient.
--
-- A limit is (r, p, burst, max_wait_us), its state (debt, last_us). The leaky bucket is the one whose burst is 1.

local LONGEST = 51  -- characters of three numbers

local token_bucket = {}

function token_bucket.limit(r, p, burst, max_wait_us)
  if not (r and p and burst and max_wait_us) then return end
  return {r = r, p = p, burst = burst, max_wait_us = max_wait_us, capacity_debt = burst * p}
end

function token_bucket.fresh(limit, now_us)
  return 0, now_us
end

function token_bucket.at(limit, debt, last_us, now_us)
  local elapsed_us = max(0, now_us - last_us)
  elapsed_us = min(elapsed_us, ceil(debt / limit.r))
  return max(0, debt - elapsed_us * limit.r), now_us
end

function token_bucket.is_ahead(limit, debt, last_us, now_us)
  return now_us < last_us
end

function token_bucket.ask(limit, debt, last_us, now_us, cost, max_wait_us)
  if cost == 0 then return true end
  if cost > limit.burst then return false end
  local shortage = debt - (limit.capacity_debt - cost * limit.p)  -- so that no sum passes 2^53
  if shortage <= 0 then return true end
  return ceil(shortage / limit.r) <= max_wait_us
end

function token_bucket.charge(limit, debt, last_us, now_us, cost)
  return min(debt + cost * limit.p, LARGEST), last_us
end

function token_bucket.give_back(limit, debt, last_us, now_us, cost, charge)
  local newest = debt == charge.debt and last_us == charge.at_us
  if charge.waited and not newest then return debt, last_us end
  local whole = newest and cost == charge.cost
  if not whole and limit.max_wait_us > 0 then
    local standing = token_bucket.at(limit, debt, last_us, now_us)
    if standing > limit.capacity_debt then return debt, last_us end  -- somebody may wait
  end
  if charge.debt == LARGEST then return debt, last_us end
  local elapsed_us = now_us - charge.at_us
  local returned = max(0, cost * limit.p - elapsed_us * limit.r)
  return max(0, debt - returned), last_us
end

function token_bucket.idle_us(limit, debt, last_us, now_us)
  return last_us + ceil(debt / limit.r) - now_us
end

function token_bucket.adopt(limit, debt, last_us, old)
  if limit.r == old.r and limit.p == old.p and limit.burst == old.burst then return debt, last_us end
  debt = ceil(debt / old.p) * limit.p
  return min(debt, limit.capacity_debt + limit.max_wait_us * limit.r), last_us
end

-- state <-> text -----------------------------------------------------------------------------------------------------

function token_bucket.parse(text, start)
  if #text - start > LONGEST then return end
  local era, debt, last_us = match(text, '^(%d+) (%d+) (%-?%d+)$', start)
  if era then return era, debt + 0.0, last_us + 0.0 end
end

function token_bucket.text(debt, last_us)
  return digits(debt) .. ' ' .. digits(last_us)
end

-- What is told of the state `at` this moment: its time is known.
function token_bucket.told(limit, debt)
  return digits(debt)
end

return token_bucket
