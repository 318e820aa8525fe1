"""Engines: small objects that run primitives, differentiate a function and compile a step. The only importers of them."""
