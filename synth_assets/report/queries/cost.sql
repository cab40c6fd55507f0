select * from {recipe}.cost where round = $round
