"""Turns facts into the catalog: in batches, idempotent."""
