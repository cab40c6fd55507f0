-- the calls behind a row's scores and label: noted ones, or those whose prompt ends with the row's text
select c.used_by as step, true as accepted, null as reason, c.*
from {recipe}.calls as c
join {recipe}.generations as g on g.round = c.round
where g.row_id = $row_id and (
  (c.used_by = 'scores' and c.cell = g.cell and contains($calls, c.call_id))
  or ((c.used_by = 'labelled' or ($unknown and c.used_by = 'scores' and c.cell = g.cell))
    and contains(right(c.messages, length($shown) + 200), $shown))
)
order by c.time
