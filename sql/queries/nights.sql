-- How far is each round, what did it bring, and what happens next?
select * from nights order by recipe, round
