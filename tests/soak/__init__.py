"""A proxy that is used, disturbed and watched for minutes: ``make soak``."""
