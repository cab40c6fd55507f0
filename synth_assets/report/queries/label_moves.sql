select label_source, former_label, label, count(*) as rows, min_by(text, row_id) as example
from {recipe}.labelled where round = $round and label is distinct from former_label
group by all order by rows desc, label_source, former_label, label limit $most
