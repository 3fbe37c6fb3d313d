-- The centre's state machine inside Redis: what src/escrow does, step by step, under the same names. A test runs both on the same
-- made-up histories and compares all they hold.
--
-- KEYS[1] is the budget's hash: field "@" the head, every other field an account. ARGV[1] is what is asked, as JSON.
-- Amounts are pairs of whole billions and the rest, since numbers are exact up to 2^53 only. They are never changed in place.

local SPLIT = 1000000000
local ZERO = {0, 0}
local LONGEST_LEASE = 60000
local KEEP_DONE = 600000
local CLOCK_SKEW = 5000
local KEEP_ENDED = 604800000
-- Numbers are written with 14 digits. No time of ours lies beyond the year 5138 but those that mean "never".
local NEVER = 99999999999999

local asked = cjson.decode(ARGV[1])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local server = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')

local function exceeds(a, b) return a[1] > b[1] or (a[1] == b[1] and a[2] > b[2]) end
local function larger(a, b) if exceeds(b, a) then return b end return a end
local function smaller(a, b) if exceeds(a, b) then return b end return a end
local function is_zero(a) return a[1] == 0 and a[2] == 0 end

local function plus(a, b)
  local high, low = a[1] + b[1], a[2] + b[2]
  if low >= SPLIT then return {high + 1, low - SPLIT} end
  return {high, low}
end

local function minus(a, b)
  if not exceeds(a, b) then return ZERO end
  local high, low = a[1] - b[1], a[2] - b[2]
  if low < 0 then return {high - 1, low + SPLIT} end
  return {high, low}
end

local function share(a, parts)
  if parts == 0 then return a end
  return {math.floor(a[1] / parts), math.floor((a[1] % parts * SPLIT + a[2]) / parts)}
end

-- Holders ------------------------------------------------------------------------------------------------------------------------

local function held(holder) return minus(holder.granted, holder.released) end
local function outstanding(holder) return minus(held(holder), holder.spent) end
local function has_lease(holder) return not holder.done and holder.expires > now end

-- Accounts -----------------------------------------------------------------------------------------------------------------------

local function limit(account)
  local amount = account.terms.limit
  if account.lost then amount = smaller(account.lost.cap, amount) end
  return plus(amount, account.carried)
end

local function ceiling(account)
  local since = account.lost and account.lost.at + CLOCK_SKEW or 0
  local amount = limit(account)
  for _, grant in ipairs(account.terms.grants or {}) do
    if grant['until'] > now and grant.since >= since then amount = plus(amount, grant.amount) end
  end
  return amount
end

local function all_outstanding(account)
  local amount = ZERO
  for _, holder in pairs(account.holders) do amount = plus(amount, outstanding(holder)) end
  return amount
end

local function used(account)
  if account.terms.strict then
    return plus(plus(account.spent, account.presumed), all_outstanding(account))
  end
  local amount = account.spent
  for _, holder in pairs(account.holders) do
    if has_lease(holder) then amount = plus(amount, outstanding(holder)) end
  end
  return amount
end

local function tidy(account)
  for name, holder in pairs(account.holders) do
    if holder.done and holder.expires + KEEP_DONE <= now then account.holders[name] = nil end
  end
  local rolling = account.period.rolling
  if not rolling then return end
  local first = math.floor(math.max(now - rolling.length, 0) / rolling.step)
  for step, amount in pairs(account.steps) do
    if tonumber(step) < first then
      account.spent = minus(account.spent, amount)
      account.steps[step] = nil
    end
  end
  if account.presumed_until ~= 0 and account.presumed_until <= now then
    account.presumed, account.presumed_until, account.lost = ZERO, 0, nil
  end
  for _, holder in pairs(account.holders) do
    if not holder.done and holder.expires + rolling.length <= now then
      holder.released = minus(holder.granted, holder.spent)
      holder.expires = now
      holder.done = true
    end
  end
end

local function lose(account)
  local cap = account.terms.limit
  if account.lost then cap = smaller(account.lost.cap, cap) end
  account.lost = {cap = cap, at = now}
  local rolling = account.period.rolling
  if rolling then
    account.presumed = ceiling(account)
    account.presumed_until = now + LONGEST_LEASE + rolling.length + rolling.step
  else
    account.presumed = minus(minus(ceiling(account), account.spent), all_outstanding(account))
  end
end

local function spend(account, amount)
  account.spent = plus(account.spent, amount)
  local rolling = account.period.rolling
  if rolling and not is_zero(amount) then
    local step = string.format('%.0f', math.floor(now / rolling.step))
    account.steps[step] = plus(account.steps[step] or ZERO, amount)
  end
end

local function transfer(account, known, has)
  local found = minus(has, known)
  local short = exceeds(found, account.presumed)
  account.presumed = plus(minus(account.presumed, found), minus(known, has))
  if short then lose(account) end
end

local function grant(account, message, holder)
  if holder.done or account.sealed then return end
  local surplus = minus(holder.granted, message.granted)
  local want, least = minus(message.want, surplus), minus(message.least, surplus)
  local room = minus(ceiling(account), used(account))
  local holders = 0
  for _, other in pairs(account.holders) do
    if has_lease(other) then holders = holders + 1 end
  end
  local more = smaller(smaller(want, larger(least, share(room, holders * 2))), room)
  if not exceeds(least, more) and not is_zero(more) then holder.granted = plus(holder.granted, more) end
end

local function sync(account, message)
  local known = account.holders[message.holder]
  local holder = known
    or {granted = ZERO, released = ZERO, spent = ZERO, unbacked = ZERO, expires = 0, epoch = 0, done = false}
  local had, spent, unbacked = held(holder), holder.spent, holder.unbacked
  holder.granted = larger(holder.granted, message.granted)
  holder.released = larger(holder.released, message.released)
  holder.spent = larger(holder.spent, message.spent)
  holder.unbacked = larger(holder.unbacked, message.unbacked)
  holder.done = holder.done or message.done
  holder.expires = math.max(holder.expires, now + math.min(message.ttl, LONGEST_LEASE))
  local heard = message.epoch == account.epoch
  if heard or (not known and is_zero(message.granted)) then holder.epoch = account.epoch end
  account.holders[message.holder] = holder
  spend(account, plus(minus(holder.spent, spent), minus(holder.unbacked, unbacked)))
  if not heard then transfer(account, had, held(holder)) end
  grant(account, message, holder)
  return holder
end

local function reconcile(account, name, at_most)
  local holder = account.holders[name]
  if not holder then return 'UnknownHolder' end
  if has_lease(holder) then return 'LeaseLasts' end
  holder.done = true
  local more = smaller(minus(at_most, holder.spent), outstanding(holder))
  holder.spent = plus(holder.spent, more)
  local back = outstanding(holder)
  holder.released = minus(holder.granted, holder.spent)
  if holder.epoch < account.epoch then account.presumed = plus(account.presumed, back) end
  spend(account, more)
end

local function restore(account, at_most)
  account.presumed = smaller(account.presumed, at_most)
  account.lost = nil
end

local function seal(account)
  if account.sealed then return ZERO end
  account.sealed = true
  return minus(limit(account), used(account))
end

local function standing(account)
  local leased, in_doubt, holders = ZERO, ZERO, 0
  for _, holder in pairs(account.holders) do
    if has_lease(holder) then
      leased, holders = plus(leased, outstanding(holder)), holders + 1
    else
      in_doubt = plus(in_doubt, outstanding(holder))
    end
  end
  local strict = account.terms.strict
  return {
    ceiling = ceiling(account),
    spent = account.spent,
    leased = leased,
    in_doubt = strict and in_doubt or ZERO,
    presumed = strict and account.presumed or ZERO,
    holders = holders,
  }
end

-- The book -----------------------------------------------------------------------------------------------------------------------

local stored = redis.call('HGET', KEYS[1], '@')
local is_new = not stored
local head = stored and cjson.decode(stored) or {server = server, born = now, epoch = 1, now = now}

local function forget(epoch)
  head.epoch = epoch + 1
  head.born = head.now
end

local function begin()
  head.now = math.max(head.now, now)
  now = head.now
  if head.server ~= server then
    head.server = server
    if not asked.durable then forget(head.epoch) end
  end
end

local function catch_up(account)
  if account.epoch < head.epoch then
    account.epoch = head.epoch
    lose(account)
  end
end

local function take(name)
  local text = redis.call('HGET', KEYS[1], name)
  if not text then return nil end
  local account = cjson.decode(text)
  account.holders = account.holders or {}
  account.steps = account.steps or {}
  tidy(account)
  catch_up(account)
  return account
end

local function put(name, account)
  if next(account.holders) == nil then account.holders = nil end
  if next(account.steps) == nil then account.steps = nil end
  redis.call('HSET', KEYS[1], name, cjson.encode(account))
end

local function drop_ended()
  local fields = redis.call('HGETALL', KEYS[1])
  for place = 1, #fields, 2 do
    if fields[place] ~= '@' then
      local finish = cjson.decode(fields[place + 1]).period['end']
      if finish and finish + KEEP_ENDED <= now then redis.call('HDEL', KEYS[1], fields[place]) end
    end
  end
end

local function open(reference)
  drop_ended()
  local known = head.born == 0 or reference.period.start >= head.born + CLOCK_SKEW
  local carried = ZERO
  local previous = known and reference.previous and take(reference.previous)
  if previous then
    carried = smaller(seal(previous), reference.terms.carry_over)
    put(reference.previous, previous)
  end
  local account = {
    period = reference.period,
    terms = reference.terms,
    carried = carried,
    epoch = head.epoch,
    spent = ZERO,
    presumed = ZERO,
    presumed_until = 0,
    sealed = false,
    holders = {},
    steps = {},
  }
  if not known then lose(account) end
  return account
end

local function answer_sync()
  local reference, message = asked.reference, asked.message
  for _, grant in ipairs(reference.terms.grants or {}) do
    grant.since, grant['until'] = math.min(grant.since, NEVER), math.min(grant['until'], NEVER)
  end
  if message.epoch > head.epoch then forget(message.epoch) end
  local account = take(reference.account) or open(reference)
  local known = account.holders[message.holder]
  if message.epoch == head.epoch and exceeds(message.granted, known and known.granted or ZERO) then
    forget(message.epoch)
    catch_up(account)
  end
  if reference.terms.generation > account.terms.generation then account.terms = reference.terms end
  local holder = sync(account, message)
  local answer = {
    now = now,
    epoch = head.epoch,
    granted = holder.granted,
    done = holder.done,
    sealed = account.sealed,
    standing = standing(account),
  }
  put(reference.account, account)
  return answer
end

local function with_account(act)
  local account = take(asked.account)
  if not account then return 'UnknownAccount' end
  local refused = act(account)
  put(asked.account, account)
  return refused
end

local answer = {}
if asked.ask == 'register' then
  if is_new then head.born = 0 end
else
  begin()
  if asked.ask == 'sync' then
    answer = answer_sync()
  elseif asked.ask == 'reconcile' then
    answer.refused = with_account(function(account) return reconcile(account, asked.holder, asked.at_most) end)
  elseif asked.ask == 'restore' then
    answer.refused = with_account(function(account) return restore(account, asked.at_most) end)
  elseif asked.ask == 'standing' then
    answer.refused = with_account(function(account) answer.standing = standing(account) end)
  end
end
redis.call('HSET', KEYS[1], '@', cjson.encode(head))
return cjson.encode(answer)
