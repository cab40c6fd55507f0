"""SQL: `views` are shown by the warehouse in every recipe's schema, `queries` answer users' questions."""
