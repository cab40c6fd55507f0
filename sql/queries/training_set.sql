-- What is the training set of the latest round?
-- param: recipe  a recipe's name
select round, row_id, origin, made_in, text, label, weight
from training_set
where recipe = $recipe
order by origin, made_in, row_id
