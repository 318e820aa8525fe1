"""Programs built on the public API: the command line and what it runs."""
