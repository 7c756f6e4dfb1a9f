"""The catalog at rest: the only place with SQL. Functions take a connection and never commit."""
