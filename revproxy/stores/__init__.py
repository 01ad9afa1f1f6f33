"""Where stored responses are kept: in memory, on disk, in Redis, or in tiers of these."""
