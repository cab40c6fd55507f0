select origin, count(*) as rows, sum(weight) as weight, min(weight) as least, max(weight) as most,
  sum(weight) ** 2 / sum(weight ** 2) as effective
from {recipe}.weighted where round = $round group by rollup (origin) order by origin nulls last
