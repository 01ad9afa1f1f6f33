"""Where stored responses are: in memory, on disk, on another machine, or in memory before one of the others."""
