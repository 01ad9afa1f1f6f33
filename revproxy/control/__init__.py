"""The terminal tools: how they find the running proxy, ask it, and show what it says."""
