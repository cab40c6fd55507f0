-- what people decided about a row, as it holds
select person, kind, value, seconds, saw_suggestion, draw, probability, note, time
from {recipe}.reviews
where row_id = $row_id
order by time
