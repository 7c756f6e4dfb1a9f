"""Judges package versions against what the archives offer."""
