select origin, least($bins - 1, floor((weight - $least) / $width))::int as bin, count(*) as rows
from {recipe}.weighted where round = $round group by all order by origin desc, bin
