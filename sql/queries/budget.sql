-- What was spent so far: today, this month (UTC) and in all? Null where a call's cost is not known; `known` is the rest.
select
  recipe,
  if(count(*) filter (where day = today and cost is null) > 0, null, coalesce(sum(cost) filter (where day = today), 0))
    as today,
  if(
    count(*) filter (where date_trunc('month', day) = date_trunc('month', today) and cost is null) > 0,
    null,
    coalesce(sum(cost) filter (where date_trunc('month', day) = date_trunc('month', today)), 0)
  ) as this_month,
  if(count(*) filter (where cost is null) = 0, sum(cost), null) as in_all,
  sum(cost) as known,
  count(*) filter (where cost is null) as unknown_costs,
  count(*) as calls,
  sum(tokens) as tokens
from (
  select distinct on (recipe, call_id)
    recipe,
    time::timestamp::date as day,
    if(outcome in ('rate_limited', 'provider_error', 'timed_out'), coalesce(cost, 0), cost) as cost,
    prompt_tokens + completion_tokens as tokens
  from calls
), (select (now() at time zone 'UTC')::date as today)
group by recipe
order by recipe
