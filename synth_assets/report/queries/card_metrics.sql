select name, slice, value, low, high, n from {recipe}.metrics where round = $round order by all
