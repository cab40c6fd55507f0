select round::varchar as round, state, made, cost, changed, why
from {recipe}.nights where round < $round order by round desc limit $most
