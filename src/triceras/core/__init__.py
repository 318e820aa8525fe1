"""What everything else stands on: names, dtypes, symbolic tensors, settings, errors. Knows no engine."""
