-- to the threshold of each filter
select scorer as score, 'dropped' as what, value, label, text
from {recipe}.rejected
where round = $round and value is not null
qualify row_number() over (
  partition by scorer order by least(abs(value - at_least), abs(value - at_most)) nulls last, row_id
) <= $most
order by all
