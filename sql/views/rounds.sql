-- what is there of each round; a number is null where its stage was not made, a cost where it is not known,
-- the state where something of the round was made since the last look at it (see `nights`)
with
  asked as (select round, count(*) as asked from {recipe}.conditions group by round),
  generated as (
    select round, count(*) as generated, count(*) filter (where accepted) as accepted
    from {recipe}.generations
    group by round
  ),
  kept as (
    select round, count(*) filter (where kept) as kept
    from (
      select round, true as kept from {recipe}.filtered
      union all
      select round, false from {recipe}.rejected
    )
    group by round
  ),
  training as (select round, rows as training_rows from {rows of weighted by round}),
  measured as (select round, count(*) as metrics from {recipe}.metrics group by round),
  paid as (
    select
      round,
      sum(calls) as calls,
      sum(prompt_tokens + completion_tokens) as tokens,
      if(count(*) filter (where cost is null) = 0, sum(cost), null) as cost
    from {recipe}.cost
    group by round
  ),
  timed as (select round, min(time) as first_call, max(time) as last_call from {recipe}.calls group by round)
select *
from asked
full join generated using (round)
full join kept using (round)
full join training using (round)
full join measured using (round)
full join paid using (round)
full join timed using (round)
left join (select round, state from {recipe}.nights) as looked using (round)
order by round
