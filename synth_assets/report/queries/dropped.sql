select stage, scorer, threshold, sum(rows) as rows, sum(rows) / sum(sum(rows)) over () as share
from {recipe}.dropped where round = $round group by all order by rows desc, scorer limit 100
