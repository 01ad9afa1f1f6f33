"""Coverage-guided fuzzing of both parsers and of the whole proxy in memory; see ``docs/fuzzing.rst``."""
