"""IP fragments and TCP streams put together again."""
