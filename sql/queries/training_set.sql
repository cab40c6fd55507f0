-- What is the training set of the latest round?
-- param: recipe  a recipe's name
select round, row_id, origin, made_in, text, label, weight
from weighted
where recipe = $recipe
qualify round = max(round) over ()
order by origin, made_in, row_id
