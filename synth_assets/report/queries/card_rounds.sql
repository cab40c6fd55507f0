select round, count(*) as generated, count(*) filter (where accepted) as accepted,
  (select count(*) from {recipe}.filtered as f where f.round = g.round) as kept
from {recipe}.generations as g where round <= $round group by round order by round
