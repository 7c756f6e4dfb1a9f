"""Sources talk to the world and yield domain values; they know no store."""
