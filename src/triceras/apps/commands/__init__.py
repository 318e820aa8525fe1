"""A file a command: its options and help. What a command runs is imported when it runs."""
