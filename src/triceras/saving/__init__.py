"""Saving and loading: objects as configs, weights, model files."""
