-- rows that were asked for, answered, accepted and kept, by round and cell
select
  g.round,
  g.cell,
  count(*) as generated,
  count(*) filter (where g.accepted) as accepted,
  count(f.row_id) as kept,
  round(count(f.row_id) / count(*), 3) as yield
from {recipe}.generations as g
left join {recipe}.filtered as f on f.row_id = g.row_id and f.round = g.round
group by all
order by all
