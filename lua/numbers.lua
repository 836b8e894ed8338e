-- Numbers: what all files that follow share. All are integers below 2^53, kept in doubles and written as decimal text.
--
-- Law: none is ever rounded. `tostring` and `..` would keep 14 digits.

local ceil, floor, format, match, max, min = math.ceil, math.floor, string.format, string.match, math.max, math.min
local LARGEST = 2^53 - 1

-- Read a number; nil if there is none. In Lua 5.4 an integer would overflow where a double does not.
local function number(text)
  local read = tonumber(text)
  return read and read <= LARGEST and read + 0.0 or nil
end

-- Write a number. `%d` is twice as fast as `%.0f` and holds 32 bits everywhere; larger ones are often the same time
-- again.
local large = {}
local function digits(number)
  if number < 2^31 and number > -2^31 then return format('%d', number) end
  local text = large[number] or format('%.0f', number)
  large[number] = text
  return text
end
