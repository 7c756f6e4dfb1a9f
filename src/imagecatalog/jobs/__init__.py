"""The named jobs: the only place where sources meet the catalog."""
