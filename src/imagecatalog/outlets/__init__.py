"""Tell others, in forms of their own."""
