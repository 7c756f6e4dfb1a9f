"""Bytes to domain values and back: no network, no policy, bounded memory."""
