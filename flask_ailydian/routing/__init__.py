"""The hybrid router: scores a query, decides who answers it, and accounts for the money."""
