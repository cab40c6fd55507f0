select l.former_label, l.label, count(*) as rows,
    count(*) filter (where {right}) as rightly, count({right}) as known
from {recipe}.labelled l join {recipe}.filtered f using (row_id, round)
where round = $round and l.label is distinct from l.former_label
group by all order by rows desc, l.former_label, l.label
