"""What it costs: one file a question, beside a peer or a bare limit, as a ratio. Asserts nothing."""
