-- rows and kept rows by the values that were asked for, with the means of their scores
select
  c.name, c.value, count(*) as rows, count(filtered.row_id) as kept,
  count(*) over (partition by c.name) as values_of_it,
  sum(count(*)) over (partition by c.name) as rows_of_it{means}
from (
  select row_id, unnest([{values}]) as c from {recipe}.generations as g where round = $round
) as g
left join {recipe}.filtered as filtered on filtered.row_id = g.row_id and filtered.round = $round
left join {recipe}.scores as scores on scores.row_id = g.row_id and scores.round = $round
where c.value is not null
group by c.name, c.place, c.value
qualify row_number() over (partition by c.name order by count(*) desc, c.value) <= $most
order by c.place, c.value
