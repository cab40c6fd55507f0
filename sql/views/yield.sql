-- what became of the rows of each round and cell; what was dropped or kept is null until the round is filtered
with
  filtered_rounds as (select round from {recipe}.filtered union select round from {recipe}.rejected),
  reasons as (
    select round, cell, map_from_entries(list({k: scorer, v: rows} order by rows desc, scorer)) as reasons
    from (select round, cell, scorer, count(*) as rows from {recipe}.rejected group by all)
    group by all
  )
select
  g.round,
  g.cell,
  count(*) as generated,
  count(*) filter (where not g.accepted) as rejected,
  if(any_value(n.round) is null, null, count(*) filter (where g.accepted) - count(f.row_id)) as dropped,
  if(any_value(n.round) is null, null, count(f.row_id)) as kept,
  if(any_value(n.round) is null, null, round(count(f.row_id) / count(*), 3)) as yield,
  if(any_value(n.round) is null, null, coalesce(any_value(r.reasons), map())) as reasons
from {recipe}.generations as g
left join {recipe}.filtered as f on f.row_id = g.row_id and f.round = g.round
left join filtered_rounds as n on n.round = g.round
left join reasons as r on r.round = g.round and r.cell = g.cell
group by g.round, g.cell
order by all
