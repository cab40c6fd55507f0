select label_source, count(*) as rows,
  count(*) filter (where label is distinct from former_label) as changed, avg(confidence) as confidence
from {recipe}.labelled where round = $round group by all order by all
